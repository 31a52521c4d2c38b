//! Whether this process stood still: stopped, frozen with its container, or suspended with its machine.
//! Others may have acted in its place meanwhile, so nothing that was begun before is gone on with.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Who did not run for so long stood still. A bridge that waits for its turn takes longer to believe that
/// the other one is gone.
pub const STANDSTILL: Duration = Duration::from_secs(10);

/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// The pulse of one run. Once it has stood still, it has for good.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    longest: Duration,
    /// When it beat last, and how long it stood still; milliseconds.
    beat: AtomicU64,
    stood: AtomicU64,
    noticed: Notify,
}

impl Pulse {
    /// One that has just beaten. [`run`](Self::run) must go on with it.
    pub fn start() -> Self {
        Self::of(STANDSTILL)
    }

    /// One that nobody goes on with, of work that is soon done: it never stands still.
    pub fn unwatched() -> Self {
        Self::of(Duration::MAX)
    }

    fn of(longest: Duration) -> Self {
        let beat = AtomicU64::new(millis(since_boot()));
        Self(Arc::new(Shared { longest, beat, stood: AtomicU64::default(), noticed: Notify::new() }))
    }

    /// How long it stood still; `None` while it did not. Looks at the clock: whoever is woken first after a
    /// standstill knows it.
    pub fn stood_still(&self) -> Option<Duration> {
        let stood = self.0.stood.load(Ordering::Relaxed);
        if stood > 0 {
            return Some(Duration::from_millis(stood));
        }
        let beat = Duration::from_millis(self.0.beat.load(Ordering::Relaxed));
        let passed = since_boot().saturating_sub(beat);
        if passed < self.0.longest {
            return None;
        }
        self.0.stood.store(millis(passed), Ordering::Relaxed);
        self.0.noticed.notify_waiters();
        Some(passed)
    }

    /// Beats until it has stood still.
    pub async fn run(self) {
        loop {
            sleep(BEAT).await;
            if self.stood_still().is_some() {
                return;
            }
            self.0.beat.store(millis(since_boot()), Ordering::Relaxed);
        }
    }

    /// Ready when it has stood still, with how long.
    pub async fn standstill(&self) -> Duration {
        loop {
            let noticed = self.0.noticed.notified();
            if let Some(stood) = self.stood_still() {
                return stood;
            }
            let _ = self.guard(noticed).await;
        }
    }

    /// Goes on with `work` as long as the process does not stand still: not a step of it is done
    /// afterwards, and the answer is `None`.
    pub async fn guard<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|context| match self.stood_still() {
            Some(_) => Poll::Ready(None),
            None => work.as_mut().poll(context).map(Some),
        })
        .await
    }
}

/// Since the machine was started, suspended or not. The clock that timers go by stands still with it.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_stood_still_does_not_another_step_of_what_was_begun() {
        let pulse = Pulse::of(Duration::from_secs(1));
        let mut steps = 0;
        let work = async {
            loop {
                steps += 1;
                if steps == 3 {
                    // Nothing runs meanwhile.
                    std::thread::sleep(Duration::from_millis(1100));
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(pulse.guard(work).await, None::<()>);
        assert_eq!(steps, 3);
        assert!(pulse.standstill().await >= Duration::from_secs(1));
        assert_eq!(pulse.guard(async { "not even begun" }).await, None);
    }

    #[tokio::test]
    async fn a_pulse_that_beats_stops_nothing() {
        let pulse = Pulse::start();
        let beats = tokio::spawn(pulse.clone().run());
        assert_eq!(pulse.guard(sleep(Duration::from_millis(5))).await, Some(()));
        assert_eq!(pulse.stood_still(), None);
        beats.abort();
    }
}
