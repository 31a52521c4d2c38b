//! The way of log lines to standard error. Whoever logs never waits: lines stand in a bounded queue
//! that a thread empties. When nobody reads them they are dropped and counted, and the count is told
//! when they flow again.

use super::pace::Pace;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Lines and bytes that may wait.
const MAX_LINES: usize = 2048;
const MAX_BYTES: usize = 512 * 1024;

/// The longest line; the rest of it is cut off.
const MAX_LINE: usize = 8 * 1024;

/// How often what was held back is summed up.
const BEAT: Duration = Duration::from_secs(10);

/// Where lines go. Clones are the same way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    /// The thread has a line that is not written yet.
    writing: bool,
}

impl Way {
    /// Starts the thread that writes lines to `to`, and sums up what `pace` holds back.
    pub(crate) fn start(&self, mut to: impl Write + Send + 'static, pace: Pace) -> io::Result<()> {
        let way = self.clone();
        let name = std::thread::Builder::new().name("log".into());
        name.spawn(move || {
            loop {
                match way.next() {
                    // A reader that has gone is no reason to end.
                    Some(line) => drop(to.write_all(&line)),
                    None => pace.sum_up(),
                }
                let dropped = way.written();
                if dropped > 0 {
                    warn!(target: super::OWN, lines = dropped, "log lines were dropped, because nobody read them fast enough");
                }
            }
        })?;
        Ok(())
    }

    /// Waits for what is on its way, but not for long: the reader may be asleep.
    pub(crate) fn finish(&self, longest: Duration) {
        let busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        drop(self.0.changed.wait_timeout_while(self.queue(), longest, busy));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        let line = line.get(..MAX_LINE).unwrap_or(line);
        if queue.lines.len() >= MAX_LINES || queue.bytes + line.len() > MAX_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.bytes += line.len();
        let mut own = one_line(line);
        if line.len() == MAX_LINE {
            own.extend_from_slice(b"...\n");
        }
        queue.lines.push_back(own);
        self.0.changed.notify_all();
    }

    /// The next line; none when a while went by without one.
    fn next(&self) -> Option<Vec<u8>> {
        let empty = |queue: &mut Queue| queue.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.queue(), BEAT, empty);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let line = queue.lines.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(line.len());
        queue.writing = true;
        Some(line)
    }

    /// A line has been written. How many were dropped, once there is room to say so.
    fn written(&self) -> u64 {
        let mut queue = self.queue();
        queue.writing = false;
        self.0.changed.notify_all();
        if queue.lines.len() < MAX_LINES / 2 { std::mem::take(&mut queue.dropped) } else { 0 }
    }
}

/// The line without what would make it look like another one, or several: control characters that came with
/// somebody's payload. The escape character is left to who writes the colours, and escapes that of payloads.
fn one_line(line: &[u8]) -> Vec<u8> {
    let (text, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |text| (text, &b"\n"[..]));
    let mut own = Vec::with_capacity(line.len());
    let mut before = 0;
    for &byte in text {
        // U+0080 to U+009F begin with 0xC2.
        let control = (byte < 0x20 && byte != 0x1b) || byte == 0x7f || (before == 0xc2 && byte < 0xa0);
        if control && byte >= 0x80 {
            own.pop();
        }
        match control {
            true => own.extend(format!("\\x{byte:02x}").bytes()),
            false => own.push(byte),
        }
        before = byte;
    }
    own.extend_from_slice(end);
    own
}

/// One line.
pub(crate) struct Line<'a>(&'a Way);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Way {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn no_payload_makes_a_line_of_its_own() {
        let said = |line: &str| String::from_utf8(one_line(line.as_bytes())).expect("text");
        assert_eq!(said("a plug says \"x\"\n"), "a plug says \"x\"\n");
        assert_eq!(said("x\n2026 ERROR forged\r\u{8}\n"), "x\\x0a2026 ERROR forged\\x0d\\x08\n");
        assert_eq!(said("\u{9b}2J\u{7f}\t"), "\\x9b2J\\x7f\\x09");
        assert_eq!(
            said("\u{1b}[32mINFO\u{1b}[0m \u{a0}äöü\u{1f50c}\n"),
            "\u{1b}[32mINFO\u{1b}[0m \u{a0}äöü\u{1f50c}\n"
        );
    }

    use std::time::Instant;

    /// Takes a line whenever the test allows it.
    struct Slow(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_who_logs_waits_and_what_is_dropped_is_counted() {
        let (allow, allowed) = mpsc::channel();
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let way = Way::default();
        way.start(Slow(allowed, Arc::clone(&text)), Pace::default()).unwrap();
        let began = Instant::now();
        for n in 0..3 * MAX_LINES {
            way.push(format!("line {n}\n").as_bytes());
        }
        way.push(&[b'x'; 3 * MAX_LINE]);
        let dropped = way.queue().dropped;
        assert!(dropped >= 2 * MAX_LINES as u64 && way.queue().lines.len() <= MAX_LINES, "{dropped}");
        // Nobody reads, and the end comes all the same.
        way.finish(Duration::from_millis(50));
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(allow);
        way.finish(Duration::from_secs(10));
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line 0\nline 1\n"));
        assert_eq!(way.queue().dropped, 0, "told");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let way = Way::default();
        for _ in 0..MAX_LINES {
            way.push(&[b'x'; 2 * MAX_LINE]);
        }
        let queue = way.queue();
        let held: usize = queue.lines.iter().map(Vec::len).sum();
        assert!(held < MAX_BYTES + 1024 && queue.dropped > 0, "{held}");
        assert!(queue.lines[0].ends_with(b"x...\n"));
    }
}
