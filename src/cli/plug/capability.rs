//! The commands for capabilities: each is a request whose answer is printed, for people or for scripts.

use super::count;
use crate::api::answer::report;
use crate::bridge::zone;
use crate::capability::cli::{Face, Labels, Runner as Runs};
use crate::capability::{Request, may_set, open};
use crate::cli::Fault;
use crate::cli::find::{Plug, find};
use crate::cli::progress::patiently;
use crate::cli::screen::{Prose, columns};
use crate::cli::table::write;
use crate::client::perform;
use crate::config::Settings;
use crate::io::clock::Clock;
use crate::model::{Lock, Now};
use anyhow::Result;
use std::io::Write;

/// Carries one out.
pub(super) struct Runner<'a> {
    pub(super) settings: &'a Settings,
    pub(super) out: &'a mut dyn Write,
}

impl Runs for Runner<'_> {
    type Output = Result<()>;

    async fn run<F: Face>(self, face: &F) -> Result<()> {
        let Self { settings, out } = self;
        if face.sets_clock() {
            let zone = zone(settings);
            let zone_known = zone.name().is_some();
            let now = Clock::start_in(zone).now();
            may_set(&now, Now::RELEASED_MS, zone_known).map_err(anyhow::Error::msg)?;
        }
        let target = face.target();
        let mut plug = find(settings, &target.plug).await?;
        let ports = if face.counts_ports() { count(&mut plug).await? } else { 0 };
        let request = face.request(|word| plug.port(word, ports))?;
        request.check().map_err(Fault::Usage)?;
        let talk = open(request, plug.guard(ports)).map_err(anyhow::Error::msg)?;
        let what = format!("asking {}", plug.name());
        let answer = patiently(&what, perform(&mut plug.line, talk)).await;
        let answer = answer.map_err(|refused| plug.failed(face.about(), &refused.failure))?;
        if target.json {
            let answer = report(&plug.id(), F::Request::report(&answer));
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?);
        }
        let text = face.text(&answer, &plug);
        write(&text.rows, out)?;
        let mut prose = Prose::new(out, plug.columns().filter(|_| !text.whole_lines));
        for line in text.lines {
            writeln!(prose, "{line}")?;
        }
        Ok(())
    }
}

impl Labels for Plug {
    fn name(&self) -> String {
        self.name()
    }

    fn port_name(&self, port: u8) -> String {
        self.port_name(port)
    }

    fn columns(&self) -> Option<usize> {
        columns(&std::io::stdout())
    }

    fn locks(&self) -> Vec<Lock> {
        self.guard(0).locks
    }
}
