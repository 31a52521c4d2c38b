//! `call`: any command of the protocol.

use crate::cli::find::find;
use crate::cli::progress::patiently;
use crate::config::Settings;
use crate::model::{Call, Failure, Query, QueryReply};
use anyhow::Result;
use std::io::Write;

pub(super) async fn call(
    settings: &Settings,
    word: &str,
    command: u16,
    arguments: Option<String>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, word).await?;
    plug.may_change()?;
    let what = format!("asking {}", plug.name());
    let query = Query::Call(Call { command, arguments });
    let reply = match patiently(&what, plug.line.capability(query)).await {
        Ok(QueryReply::Call(reply)) => Ok(reply),
        Ok(_) => Err(Failure::InvalidResponse("an answer to something else".into())),
        Err(failure) => Err(failure),
    };
    let reply = reply.map_err(|failure| plug.failed(&format!("for command {command}"), &failure))?;
    Ok(writeln!(out, "{reply}")?)
}
