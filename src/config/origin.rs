//! What a setting is called, and where it was given.

use std::fmt;
use std::path::PathBuf;

use super::value::shown;

/// Where a setting was given. Later ones win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A settings file.
    File {
        /// The file.
        path: PathBuf,
        /// Line and column, from 1, where known.
        place: Option<(usize, usize)>,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, by the name of the setting.
    Flag(String),
}

impl Origin {
    /// Which layer it is: higher wins.
    pub(super) fn layer(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Environment(_) => 1,
            Self::Flag(_) => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, place: None } => write!(f, "{}", path.display()),
            Self::File { path, place: Some((line, column)) } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag -s {name}"),
        }
    }
}

/// A path as it is written in TOML.
pub(super) fn dotted(path: &[String]) -> String {
    let bare = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'<' | b'>'))
    };
    let parts = path.iter().map(|part| if bare(part) { part.clone() } else { shown(part) });
    parts.collect::<Vec<_>>().join(".")
}
