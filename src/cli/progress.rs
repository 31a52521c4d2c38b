//! What a terminal shows while something takes long. It goes to standard error, and nowhere when that
//! is a file.

use std::future::Future;
use std::io::{IsTerminal, Write, stderr};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// What takes less is not worth a word.
const SHORT: Duration = Duration::from_millis(800);
const BEAT: Duration = Duration::from_millis(250);

/// Waits for some work and says so after a while.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let terminal = stderr().is_terminal();
    shown(what, work, terminal.then_some(&mut stderr() as &mut dyn Write), [SHORT, BEAT]).await
}

async fn shown<T>(
    what: &str,
    work: impl Future<Output = T>,
    mut out: Option<&mut dyn Write>,
    [short, beat]: [Duration; 2],
) -> T {
    let mut work = pin!(work);
    let mut beats = 0_usize;
    loop {
        let pause = if beats == 0 { short } else { beat };
        match timeout(pause, work.as_mut()).await {
            Ok(result) => {
                if beats > 0 {
                    draw(&mut out, "\r\x1b[K");
                }
                return result;
            }
            Err(_) => {
                beats += 1;
                draw(&mut out, &format!("\r\x1b[K{what} {}", ".".repeat(beats % 8)));
            }
        }
    }
}

/// A terminal that has gone does not stop the work.
fn draw(out: &mut Option<&mut dyn Write>, text: &str) {
    if let Some(out) = out {
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    /// Done when it was looked at so often.
    fn work(mut looks: u32) -> impl Future<Output = ()> {
        std::future::poll_fn(move |_| {
            looks -= 1;
            if looks == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    #[tokio::test]
    async fn only_long_work_is_spoken_of_and_the_line_is_cleared() {
        let mut out = Vec::new();
        let pauses = [Duration::ZERO; 2];
        shown("waiting", work(1), Some(&mut out), pauses).await;
        assert_eq!(out, b"");
        shown("waiting", work(7), Some(&mut out), pauses).await;
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("waiting .") && text.ends_with("\r\x1b[K"), "{text:?}");
    }
}
