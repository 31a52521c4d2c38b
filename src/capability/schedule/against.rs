//! Rules in a plug that go against a lock: they were there before it, or the vendor's app has set them.

use super::RawRule;
use crate::core::{Lock, Now, time};

/// No more of them are told.
const MOST: usize = 16;

/// The rules in force that would switch a port which is locked against that, by their numbers, each in a
/// sentence. Locks by port, port 1 first; those missing are not locked.
pub fn against(rules: &[RawRule], locks: &[Lock], now: &Now) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for rule in rules.iter().filter(|rule| rule.enabled) {
        let comes = rule.comes(now);
        if comes.is_some_and(|comes| comes < now.local()) {
            // It has come.
            continue;
        }
        let at = match comes {
            Some(comes) => comes.strftime("%Y-%m-%d %H:%M").to_string(),
            None => time(rule.minute),
        };
        for ((port, going), lock) in (1u8..).zip(&rule.ports).zip(locks) {
            if let Some(on) = going.filter(|on| lock.refuses(*on)) {
                let (id, on) = (rule.id, if on { "on" } else { "off" });
                all.push((id, format!("rule {id} would switch port {port} {on} at {at}, which is locked")));
            }
        }
    }
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::tests::now;
    use crate::core::Days;

    #[test]
    fn only_rules_that_will_go_against_a_lock_are_named() {
        let now = now();
        let rule = |id, ports: &[Option<bool>]| RawRule {
            id,
            enabled: true,
            ports: ports.to_vec(),
            days: Days::ALL,
            minute: 22 * 60 + 10,
            once: None,
        };
        let once = |rule: RawRule, when: &str| rule.at(when.parse().expect("a time"), &now).expect("a rule");
        let (on, off) = (Some(true), Some(false));
        let rules = [
            rule(3, &[None, off]),
            rule(4, &[off, on, on]),
            RawRule { enabled: false, ..rule(5, &[None, off]) },
            once(rule(6, &[None, off]), "2026-11-21T11:59:00"),
            once(rule(7, &[None, None, on]), "2026-11-22T07:05:00"),
        ];
        let told = |locks: &[Lock]| -> Vec<String> {
            against(&rules, locks, &now).into_iter().map(|(_, what)| what).collect()
        };
        assert_eq!(
            told(&[Lock::None, Lock::On]),
            ["rule 3 would switch port 2 off at 22:10, which is locked"]
        );
        assert_eq!(
            told(&[Lock::None, Lock::None, Lock::Off]),
            [
                "rule 4 would switch port 3 on at 22:10, which is locked",
                "rule 7 would switch port 3 on at 2026-11-22 07:05, which is locked",
            ]
        );
        assert_eq!(told(&[Lock::Off]).len(), 0);
        assert_eq!(told(&[Lock::None, Lock::Both]).len(), 2);
        let many: Vec<RawRule> = (0..100).map(|id| rule(id, &[off])).collect();
        assert_eq!(against(&many, &[Lock::On], &now).len(), MOST);
    }
}
