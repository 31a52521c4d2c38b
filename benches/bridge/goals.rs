//! The twelve goals in order, and what they share.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::Row;
use crate::program::{Binaries, Program};
use crate::scene::Stage;
use crate::{cost, latency, robust};

pub(crate) const ALL: std::ops::RangeInclusive<u8> = 1..=12;

/// One run of the benchmark: what is judged, and what was measured so far.
pub(crate) struct Bench {
    pub(crate) binaries: Binaries,
    pub(crate) subject: Program,
    pub(crate) has_python: bool,
    pub(crate) quick: bool,
    pub(crate) commands: HashMap<Program, latency::Commands>,
    pub(crate) sick: Option<robust::Sick>,
}

impl Bench {
    /// Ten strips at the usual interval.
    pub(crate) fn slow_stage(&self) -> Stage {
        Stage::new(10, if self.quick { 2000 } else { 5000 })
    }

    /// The programs shown for comparison.
    pub(crate) fn peers(&self) -> Vec<Program> {
        let mut peers = vec![Program::FloorRaw, Program::FloorReqwest];
        if self.has_python {
            peers.push(Program::Python);
        }
        peers.retain(|program| *program != self.subject && !self.quick);
        peers
    }

    /// Measures one goal.
    pub(crate) async fn measure(&mut self, goal: u8) -> anyhow::Result<Vec<Row>> {
        match goal {
            1 => Box::pin(latency::goal_1(self)).await,
            2 => Box::pin(latency::goal_2(self)).await,
            3 => Box::pin(robust::goal_3(self)).await,
            4 => Box::pin(robust::goal_4(self)).await,
            5 => Box::pin(robust::goal_5(self)).await,
            6 => Box::pin(robust::goal_6(self)).await,
            7 => Box::pin(robust::goal_7(self)).await,
            8 => Box::pin(cost::goal_8(self)).await,
            9 => Box::pin(cost::goal_9(self)).await,
            10 => Box::pin(cost::goal_10(self)).await,
            11 => Box::pin(cost::goal_11(self)).await,
            12 => Box::pin(latency::goal_12(self)).await,
            other => anyhow::bail!("there is no goal {other}"),
        }
    }
}

/// Lets a window of measurement pass; not for waiting until something has happened.
pub(crate) async fn soak(window: Duration) {
    tokio::time::sleep(window).await;
}
