//! Requests to one plug and the conversations they take: what is asked first, what its answer means,
//! and whether the plug did what it said. Pure, so that bridge, command line and library go the same way.

use super::device::{UNKNOWN, mixed_up};
use super::{Access, Guard, Query, QueryReply};
use crate::core::{Failure, Now};
use serde_json::Value as Json;
use std::fmt::Debug;

/// Something to find out or to change at one plug. The fields of the struct are the keys it takes.
pub trait Request: Clone + Debug + PartialEq + Sized {
    /// What it is called in topics.
    const VERB: &'static str;

    /// What comes of it.
    type Answer: Clone + Debug + PartialEq;

    /// The conversation it takes.
    type Conversation: Conversation<Answer = Self::Answer>;

    /// What it is called, where that depends on what is asked.
    fn verb(&self) -> &'static str {
        Self::VERB
    }

    /// It changes something at the plug, or may.
    fn changes(&self) -> bool;

    /// The ports it names.
    fn ports(&self) -> Vec<u8> {
        Vec::new()
    }

    /// It makes sense by itself, whatever the plug.
    ///
    /// # Errors
    ///
    /// Why not, with the remedy.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The conversation, with nothing asked yet.
    ///
    /// # Errors
    ///
    /// Why the plug will not be asked, in a sentence that names the remedy.
    fn open(self, guard: Guard) -> Result<Self::Conversation, String>;

    /// The answer as a JSON object.
    fn report(answer: &Self::Answer) -> Json;
}

/// A conversation with a plug, question by question.
pub trait Conversation: Debug {
    /// What comes of it.
    type Answer;

    /// What to ask now.
    fn query(&self) -> Query;

    /// Takes the reply to [`query`](Self::query); `None` when there is more to ask.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] when the plug will not or did not; says why.
    fn take(&mut self, reply: QueryReply, now: &Now) -> Result<Option<Self::Answer>, Failure>;

    /// The plug has said no, for this reason, or does not know what it was asked.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`], unless the conversation can do without.
    fn refused(&mut self, why: Option<String>) -> Result<Option<Self::Answer>, Failure> {
        Err(Failure::Rejected(why.unwrap_or_else(|| UNKNOWN.into())))
    }
}

/// Checks what can be checked before the plug is asked, and opens the conversation.
///
/// # Errors
///
/// Why the plug will not be asked, in a sentence that names the remedy.
pub fn open<R: Request>(request: R, guard: Guard) -> Result<R::Conversation, String> {
    request.check()?;
    guard.check(request.changes(), &request.ports())?;
    request.open(guard)
}

/// One question, whose reply is the answer.
#[derive(Debug)]
pub struct Once<A> {
    query: Query,
    read: fn(QueryReply) -> Option<A>,
}

impl<A> Once<A> {
    pub(super) fn new(query: Query, read: fn(QueryReply) -> Option<A>) -> Self {
        Self { query, read }
    }
}

impl<A: Debug> Conversation for Once<A> {
    type Answer = A;

    fn query(&self) -> Query {
        self.query.clone()
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<A>, Failure> {
        (self.read)(reply).map(Some).ok_or_else(mixed_up)
    }
}

/// A change that is laid over what the plug tells.
pub trait Change: Debug {
    /// What is read and written.
    type Value: Clone + Debug + PartialEq;

    /// The question.
    fn query(access: Access<Self::Value>) -> Query;

    /// What the plug said.
    fn value(reply: QueryReply) -> Option<Self::Value>;

    /// What shall be, made of what is.
    ///
    /// # Errors
    ///
    /// Why not, with the remedy.
    fn over(&self, is: Self::Value, guard: &Guard) -> Result<Self::Value, String>;
}

/// Reads; then, where something is to change, writes that and looks whether the plug shows it.
#[derive(Debug)]
pub struct Update<C: Change> {
    change: Option<C>,
    guard: Guard,
    wanted: Option<C::Value>,
}

impl<C: Change> Update<C> {
    pub(super) fn new(change: Option<C>, guard: Guard) -> Self {
        Self { change, guard, wanted: None }
    }
}

impl<C: Change> Conversation for Update<C> {
    type Answer = C::Value;

    fn query(&self) -> Query {
        C::query(self.wanted.clone().map_or(Access::Read, Access::Write))
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<C::Value>, Failure> {
        let told = C::value(reply).ok_or_else(mixed_up)?;
        match (self.wanted.take(), self.change.take()) {
            (Some(wanted), _) if wanted != told => Err(disobeyed()),
            (None, Some(change)) => {
                self.wanted = Some(change.over(told, &self.guard).map_err(Failure::Rejected)?);
                Ok(None)
            }
            _ => Ok(Some(told)),
        }
    }
}

/// The plug did not do what it said.
pub(super) fn disobeyed() -> Failure {
    Failure::Rejected("it said yes and shows no such change".into())
}
