//! The plug's idea of time: UTC once somebody has told it, seconds since it started before that; its zone and rules.

use crate::sim::clock;
use serde_json::Value;

/// From when which offset from UTC holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    from: u64,
    offset_s: i64,
    summer: u64,
}

/// The rules kept, at most.
const MOST_RULES: usize = 32;

/// A clock that may not have been set.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// UTC at second 0 by the time servers it can reach.
    servers: Option<u64>,
    /// UTC at second 0 by its own clock; it may lie before 1970 as long as now does not.
    zero: Option<i64>,
    started_s: u64,
    zone: String,
    rules: Vec<Rule>,
}

impl Clock {
    pub(super) fn new(servers: Option<u64>) -> Self {
        let zero = servers.map(signed);
        Self { servers, zero, started_s: 0, zone: String::new(), rules: Vec::new() }
    }

    /// Starts anew: only time servers know the time.
    pub(super) fn restart(&mut self, second: u64) {
        self.zero = self.servers.map(signed);
        self.started_s = second;
    }

    /// Whether anybody has told the time.
    pub(super) fn is_set(&self) -> bool {
        self.zero.is_some()
    }

    /// Whether it knows where it is.
    pub(super) fn has_zone(&self) -> bool {
        !self.zone.is_empty()
    }

    /// Seconds since 1970 UTC, or since it started.
    pub(super) fn now(&self, second: u64) -> u64 {
        match self.zero {
            Some(zero) => u64::try_from(zero + signed(second)).unwrap_or(0),
            None => second.saturating_sub(self.started_s),
        }
    }

    /// The same in local time.
    pub(super) fn local(&self, second: u64) -> u64 {
        let now = self.now(second);
        now.saturating_add_signed(self.offset_s(now))
    }

    /// Seconds by which local time is ahead of UTC.
    pub(super) fn offset_s(&self, now: u64) -> i64 {
        self.rules.iter().rev().find(|rule| rule.from <= now).map_or(0, |rule| rule.offset_s)
    }

    /// Seconds since it started.
    pub(super) fn up_s(&self, second: u64) -> u64 {
        second.saturating_sub(self.started_s)
    }

    /// Is told the time.
    pub(super) fn set(&mut self, second: u64, now: u64) {
        self.zero = Some(signed(now) - signed(second));
    }

    /// `System.Time` as it stands in answers.
    pub(super) fn tell(&self, second: u64) -> String {
        let rule = |rule: &Rule| format!("[{},{},{}]", rule.from, rule.offset_s, rule.summer);
        let rules: Vec<String> = self.rules.iter().map(rule).collect();
        let zone = super::wire::quoted(&self.zone);
        format!(r#"{{"timestamp":{},"timezone":{zone},"timeRule":[{}]}}"#, self.now(second), rules.join(","))
    }

    /// Takes what of `System.Time` is there.
    pub(super) fn take(&mut self, second: u64, time: &Value) {
        if let Some(now) = super::wire::number(time, "timestamp") {
            self.set(second, now);
        }
        if let Some(zone) = time.get("timezone").and_then(Value::as_str) {
            self.zone = zone.chars().take(64).collect();
        }
        if let Some(rules) = time.get("timeRule").and_then(Value::as_array) {
            let rule = |rule: &Value| {
                let (from, summer) = (rule.get(0)?.as_u64()?, rule.get(2)?.as_u64()?);
                Some(Rule { from, offset_s: rule.get(1)?.as_i64()?, summer })
            };
            self.rules = rules.iter().take(MOST_RULES).filter_map(rule).collect();
        }
    }
}

/// The date of a local time, as `2024-03-09`.
pub(super) fn date(local: u64) -> String {
    clock::render(local).chars().take(10).collect()
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn before_it_is_set_it_counts_from_its_start() {
        let mut clock = Clock::new(None);
        assert_eq!((clock.now(4), clock.is_set()), (4, false));
        clock.restart(100);
        assert_eq!(clock.now(104), 4);
        clock.set(104, 1_700_000_000);
        assert_eq!(clock.now(110), 1_700_000_006);
        clock.restart(200);
        assert!(!clock.is_set());
        let mut served = Clock::new(Some(1_700_000_000));
        served.restart(50);
        assert_eq!(served.now(60), 1_700_000_060);
    }

    #[test]
    fn rules_move_local_time() {
        let mut clock = Clock::new(Some(1_774_745_000));
        let rules = json!([[1_761_440_400, 3600, 0], [1_774_746_000, 7200, 1]]);
        clock.take(0, &json!({"timezone": "Europe/Zurich", "timeRule": rules}));
        assert_eq!(clock.local(0) - clock.now(0), 3600);
        assert_eq!(clock.local(1000) - clock.now(1000), 7200);
        let told = r#"{"timestamp":1774745000,"timezone":"Europe/Zurich","timeRule":[[1761440400,3600,0],[1774746000,7200,1]]}"#;
        assert_eq!(clock.tell(0), told);
        assert_eq!(date(clock.local(0)), "2026-03-29");
    }
}
