//! Any request to one plug under one type, for those who hand it on: the bridge and the command line.

use super::conversation::{Conversation, Request};
use super::{DeviceResponse, Guard, Meaning, PlugAnswer, PlugRequest, Query, Talk, hear};
use crate::core::{Failure, Now};
use serde::de::DeserializeOwned;

/// Makes the types that hold any request of a list, with its answer and its conversation.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident($type:ty),)*) => {
        /// Something to find out or to change at one plug.
        #[derive(Debug, Clone, PartialEq)]
        pub enum PlugRequest {
            $($(#[$doc])* $name($type),)*
        }

        /// What came of it.
        #[derive(Debug, Clone, PartialEq)]
        pub enum PlugAnswer {
            $($(#[$doc])* $name(<$type as Request>::Answer),)*
        }

        /// The conversation that any of them takes.
        #[derive(Debug)]
        enum Talk {
            $($name(Box<<$type as Request>::Conversation>),)*
        }

        $(impl From<$type> for PlugRequest {
            fn from(request: $type) -> Self {
                Self::$name(request)
            }
        })*

        impl PlugRequest {
            /// What it is called in topics.
            pub fn verb(&self) -> &'static str {
                match self {
                    $(Self::$name(request) => request.verb(),)*
                }
            }

            /// It changes something at the plug, or may.
            pub fn changes(&self) -> bool {
                match self {
                    $(Self::$name(request) => request.changes(),)*
                }
            }

            fn open(self, guard: Guard) -> Result<Talk, String> {
                match self {
                    $(Self::$name(request) => open(request, guard).map(|talk| Talk::$name(Box::new(talk))),)*
                }
            }
        }

        impl PlugAnswer {
            /// The answer as a JSON object.
            pub fn report(&self) -> Json {
                match self {
                    $(Self::$name(answer) => <$type as Request>::report(answer),)*
                }
            }
        }

        impl Conversation for Talk {
            type Answer = PlugAnswer;

            fn query(&self) -> Query {
                match self {
                    $(Self::$name(talk) => talk.query(),)*
                }
            }

            fn take(&mut self, reply: QueryReply, now: &Now) -> Result<Option<PlugAnswer>, Failure> {
                match self {
                    $(Self::$name(talk) => Ok(talk.take(reply, now)?.map(PlugAnswer::$name)),)*
                }
            }

            fn refused(&mut self, why: Option<String>) -> Result<Option<PlugAnswer>, Failure> {
                match self {
                    $(Self::$name(talk) => Ok(talk.refused(why)?.map(PlugAnswer::$name)),)*
                }
            }
        }
    };
}
pub(super) use requests;

/// A request on its way.
#[derive(Debug)]
pub struct Task {
    request: PlugRequest,
    talk: Talk,
}

impl Task {
    /// Checks what can be checked before the plug is asked.
    ///
    /// # Errors
    ///
    /// Why it will not be asked, in a sentence that names the remedy.
    pub fn new(request: PlugRequest, guard: Guard) -> Result<Self, String> {
        Ok(Self { talk: request.clone().open(guard)?, request })
    }

    /// What somebody wants.
    pub fn request(&self) -> &PlugRequest {
        &self.request
    }

    /// What the figures of the plug's record mean, when that was learnt.
    pub fn learn(&mut self, meaning: Meaning) {
        if let Talk::History(talk) = &mut self.talk {
            talk.learn(meaning);
        }
    }

    /// What to ask now.
    pub fn query(&self) -> Query {
        self.talk.query()
    }

    /// Takes the answer to [`query`](Self::query); `None` when there is more to ask.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] when the plug cannot, will not or did not; says why.
    pub fn hear(&mut self, response: DeviceResponse, now: &Now) -> Result<Option<PlugAnswer>, Failure> {
        hear(&mut self.talk, response, now)
    }
}

/// Does something with each type of request that has keys of its own.
pub trait RequestVisitor {
    /// Does it with this one.
    fn visit<R: Request + DeserializeOwned + Into<PlugRequest>>(&mut self);
}
