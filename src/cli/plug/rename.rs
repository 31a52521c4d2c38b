//! `rename`: a name that the plug keeps itself.

use super::{Who, count};
use crate::cli::Fault;
use crate::cli::find::find;
use crate::cli::progress::patiently;
use crate::config::Settings;
use crate::model::{Failure, Name, Query, QueryReply, Rename};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::Write;

pub(super) async fn rename(
    settings: &Settings,
    who: &Who,
    name: &str,
    port: Option<&str>,
    out: &mut dyn Write,
) -> Result<()> {
    let nameless = || Fault::Usage("a name needs at least one visible character".into());
    let wanted = Name::clean(name).ok_or_else(nameless)?;
    let mut plug = find(settings, &who.plug).await?;
    plug.may_change()?;
    let port = match port {
        None => 0,
        Some(word) => {
            let ports = count(&mut plug).await?;
            plug.port(word, ports)?
        }
    };
    let what = format!("renaming {}", plug.name());
    let query = Query::Names(Rename { port, name: wanted.clone() });
    let told = match patiently(&what, plug.line.capability(query)).await {
        Ok(QueryReply::Names(told)) => Ok(told),
        Ok(_) => Err(Failure::InvalidResponse("an answer to something else".into())),
        Err(failure) => Err(failure),
    };
    let told = told.map_err(|failure| plug.failed("to take a name", &failure)).with_context(|| {
        format!("{wanted} is not kept by the plug; the bridge can keep it, see docs/mqtt.md")
    })?;
    let took = told.as_ref().is_none_or(|told| *told == wanted);
    if who.json && took {
        let mut shown = json!({
            "id": plug.id(), "name": wanted.as_str(), "kept_by": "plug", "verified": told.is_some(),
        });
        if let (Some(object), true) = (shown.as_object_mut(), port > 0) {
            object.insert("port".into(), port.into());
        }
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?);
    }
    let subject = if port == 0 { plug.id() } else { format!("port {port} of {}", plug.name()) };
    match told {
        Some(told) if told == wanted => writeln!(out, "{subject} is now {told}")?,
        Some(told) => bail!("{subject} took the name and still calls itself {told}"),
        None => writeln!(
            out,
            "{subject} took the name {wanted}; it does not tell it, so this cannot be verified"
        )?,
    }
    Ok(())
}
