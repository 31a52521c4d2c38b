use super::*;

const YEARS_S: i64 = -400_000_000;

/// Our clock in hours since it started, and how far ahead the plug's is, in seconds; what that shows.
fn check(rows: &[(u64, i64, bool)]) -> Restart {
    let mut restart = Restart::default();
    for &(hour, drift_s, wanted) in rows {
        let unix_ms = 1_795_000_000_000 + hour * 3_600_000;
        let now = Now { up: Duration::from_secs(hour), unix_ms, utc_offset_s: 3600, dst_s: 0, nonce: 0 };
        let clock = Clock { local: now.local(), drift_s };
        assert_eq!(restart.told(&now, &clock), wanted, "at hour {hour} of {rows:?}");
    }
    restart
}

#[test]
fn a_clock_that_was_right_and_is_lost_shows_a_restart_and_nothing_else_does() {
    check(&[(0, 5, false), (1, YEARS_S, true), (2, YEARS_S, false), (3, 0, false), (4, YEARS_S, true)]);
    // It was never right, or not in this run.
    check(&[(0, YEARS_S, false), (1, YEARS_S, false)]);
    check(&[(0, YEARS_S, false), (1, 0, false), (2, 20, false)]);
    // Somebody sets it, in another zone or wrongly.
    check(&[
        (0, 0, false),
        (1, -3_600, false),
        (2, 86_400, false),
        (3, -86_400, false),
        (4, -172_800, false),
    ]);
    check(&[(0, 0, false), (1, -29 * DAY_S, false)]);
    check(&[(0, 0, false), (1, -YEARS_S, false), (2, 0, false)]);
    // Our own clock was wrong, and has come right: the plug stands where it stood.
    check(&[(0, 0, false), (100_000, -100_000 * 3_600, false)]);
    check(&[(0, -YEARS_S, false), (120_000, -120_000 * 3_600, false)]);
}

#[test]
fn a_clock_that_is_not_right_is_looked_at_again() {
    assert_eq!(check(&[(0, 0, false)]).at(), None);
    assert_eq!(check(&[(1, YEARS_S, false)]).at(), Some(Duration::from_secs(1) + AGAIN.first));
}
