//! Counters of energy in plugs, as drivers of families that have one tell them: no simulated plug of these families
//! has any, so it is put into the readings of some single plugs.

use crate::random::Random;
use plug2mqtt::model::Energy;
use plug2mqtt::sim::Drawn;

const WH_MWS: u64 = 3_600_000;

/// The counter of a plug with one port.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    random: Random,
    /// It counts in so many watt-hours.
    step_wh: u64,
    /// It is asked for this often, in seconds.
    pub(crate) asked_s: f64,
    /// It moves this often, in seconds.
    pub(crate) moves_s: f64,
    next_s: f64,
    moved_s: f64,
    shows: u64,
    before: u64,
}

impl Counter {
    pub(crate) fn any(mut random: Random) -> Option<Self> {
        let counts = random.chance(50);
        let (step_wh, asked_s, moves_s) = (
            random.pick(&[1, 1, 10]),
            random.pick(&[0.0, 60.0, 200.0]),
            random.pick(&[0.0, 0.0, 60.0, 600.0]),
        );
        let (next_s, moved_s) = (0.0, -moves_s);
        let counter = Self { random, step_wh, asked_s, moves_s, next_s, moved_s, shows: 0, before: 0 };
        counts.then_some(counter)
    }

    /// What it is told to show, if it is asked for in this reading of a plug that has drawn so much.
    pub(crate) fn tell(&mut self, now_s: f64, drawn: Drawn) -> Option<Energy> {
        if now_s >= self.moved_s + self.moves_s {
            self.moved_s = now_s;
            self.before = self.shows;
            self.shows = drawn.mws / WH_MWS / self.step_wh * self.step_wh;
        }
        if now_s < self.next_s {
            return None;
        }
        self.next_s = now_s + self.asked_s;
        // Now and then an older figure comes late.
        let late = self.random.chance(5) && (self.before..=self.before + 10).contains(&self.shows);
        let wh = if late { self.before } else { self.shows };
        Some(Energy::from_wh(wh as f64))
    }

    /// By how much a figure may be behind what was drawn, in joules, at this power at the most; and in which time
    /// nobody looks at it.
    pub(crate) fn behind(&self, most_w: f64, apart_s: f64) -> (f64, f64) {
        let unseen_s = self.asked_s + apart_s;
        ((self.moves_s + unseen_s) * most_w + self.step_wh as f64 * 3600.0, unseen_s)
    }
}
