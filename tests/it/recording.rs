//! `record` and `replay`: what a plug said is written down without what is personal, and said again.

use crate::support::{CliHarness, addresses, quiet, run, strip};
use plug2mqtt::cli::record::replay;
use plug2mqtt::config;
use plug2mqtt::drivers::ALL;
use plug2mqtt::sim::Strip;
use serde_json::Value;
use tokio::sync::oneshot;

#[test]
fn a_recorded_plug_says_it_again_under_another_serial() {
    run(async {
        let own =
            Strip::strip_1_30("SWP6012345678901").mac("02:11:22:33:44:55").cpuid("1234567890ABCDEF12345678");
        let desk = CliHarness::new(vec![
            quiet(own.named("Büro")),
            quiet(Strip::strip_5_11("SWW6012345678902")),
            strip(),
        ])
        .await;
        let replayed = addresses(2);
        for (place, kind) in [(0, "SWP6"), (1, "SWW6")] {
            let file = desk.house.folder().join(format!("{kind}.txt"));
            let at = desk.at(place);
            let said = desk.ok(&["record", &at, "-o", file.to_str().unwrap()]).await;
            assert!(said.contains("exchanges with") && said.contains("look at it"), "{said}");
            let text = std::fs::read_to_string(&file).unwrap();
            for stays in ["names of the plug and its ports", "schedule", "consumption"] {
                assert!(said.contains(stays) && text.contains(stays), "{stays}: {said}{text}");
            }
            for personal in ["12345678901", "12345678902", "11:22:33", "1234567890AB"] {
                assert!(!text.contains(personal), "{personal} in {text}");
            }
            assert!(text.contains(&format!("\"{kind}000000000001\"")), "{text}");

            let (stop, stopped) = oneshot::channel::<()>();
            let ((udp, http), mut out) = (desk.house.shelf.ports(), Vec::new());
            let own = desk.house.settings_file("");
            let (settings, _) = config::load(Some(&own), std::iter::empty(), &[], ALL).unwrap();
            let stopped = async { drop(stopped.await) };
            let served = replay(&settings, &file, replayed[place], false, &mut out, stopped);
            let asked = async {
                let ip = replayed[place].to_string();
                let (first, again) = (desk.json(&["status", &at]).await, desk.json(&["status", &ip]).await);
                assert_eq!(again["id"], format!("maxsmart-{}000000000001", kind.to_lowercase()));
                assert_eq!(again["ports"], first["ports"]);
                if place == 0 {
                    assert_eq!(again["name"], "Büro");
                    assert_eq!(desk.json(&["price", &ip]).await["price"], 0.21);
                    // The control characters of a plug without a timer, too.
                    assert_eq!(desk.json(&["countdown", &ip, "2"]).await[0]["left_s"], Value::Null);
                }
                stop.send(()).unwrap();
            };
            let (served, ()) = tokio::join!(served, asked);
            served.unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("READY udp={udp} http={http}\n"));
        }
        std::fs::write(desk.house.folder().join("none.txt"), "hello").unwrap();
        desk.fails(&["replay", "none.txt"], &["none.txt is no recording", "does not begin"]).await;
    });
}
