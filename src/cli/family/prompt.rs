//! Questions at the terminal. What is secret is not shown while it is typed; a terminal that was told so shows again
//! what is typed, whatever ends the question.

use crate::cli::Fault;
use anyhow::{Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin};

/// The longest answer, in bytes.
const LONGEST: u64 = 1024;

/// A line from the terminal. `instead` is what to give where there is none.
///
/// # Errors
///
/// [`Fault::Usage`] where nobody can be asked, or who was asked says nothing more.
pub(super) async fn line(question: &str, instead: &str) -> Result<String> {
    if !stdin().is_terminal() {
        bail!(Fault::Usage(format!("there is no terminal to ask at: give {instead}")));
    }
    write!(stderr(), "{question}: ")?;
    stderr().flush()?;
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        stdin().lock().take(LONGEST).read_line(&mut text).map(|length| (length, text))
    });
    let (length, text) = read.await??;
    if length == 0 {
        bail!(Fault::Usage(format!("no answer; give {instead}")));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The same, without showing what is typed.
///
/// # Errors
///
/// As [`line`].
pub(super) async fn secret(question: &str, instead: &str) -> Result<SecretString> {
    let silence = Silence::begin();
    let answer = line(question, instead).await;
    if silence.is_some() {
        // The end of the line was not shown either.
        writeln!(stderr())?;
    }
    Ok(answer?.into())
}

/// Whether the answer is yes.
///
/// # Errors
///
/// As [`line`].
pub(super) async fn confirmed(question: &str, instead: &str) -> Result<bool> {
    let answer = line(&format!("{question} [y/N]"), instead).await?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The terminal shows nothing that is typed as long as this lives.
struct Silence(Termios);

impl Silence {
    fn begin() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that has gone shows nothing anyway.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
