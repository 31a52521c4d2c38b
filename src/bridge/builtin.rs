//! The built-in broker, where no other one is set.

use super::StartError;
use crate::config::Settings;
use crate::sinks::mqtt::Counters;
use std::sync::Arc;
use tokio::sync::watch;

/// The broker in use: the one in the settings, or the built-in one.
pub(super) struct Broker {
    #[cfg(feature = "broker")]
    builtin: Option<crate::broker::Builtin>,
}

impl Broker {
    #[cfg(feature = "broker")]
    pub(super) async fn start(settings: &Settings, client_id: &str) -> Result<Self, StartError> {
        if settings.mqtt.url.is_some() {
            return Ok(Self { builtin: None });
        }
        let own = &settings.broker;
        let login = own.username.as_deref().zip(own.password.as_ref());
        let store = super::state_directory(settings).join("broker");
        let (topic, payload) = crate::sinks::mqtt::last_will(&settings.mqtt.base_topic);
        let owner = crate::broker::Owner { client_id, will: (&topic, payload) };
        let builtin = crate::broker::start(own.listen, login, Some(&store), Some(owner)).await?;
        tracing::info!(listen = %builtin.addr(), "built-in broker started");
        Ok(Self { builtin: Some(builtin) })
    }

    #[cfg(not(feature = "broker"))]
    #[expect(clippy::unused_async, reason = "the same signature as with the broker")]
    pub(super) async fn start(settings: &Settings, _client_id: &str) -> Result<Self, StartError> {
        match settings.mqtt.url {
            Some(_) => Ok(Self {}),
            None => Err(StartError::Settings("this build has no broker of its own; set mqtt.url".into())),
        }
    }

    pub(super) fn address(&self, settings: &Settings) -> (String, u16, bool) {
        #[cfg(feature = "broker")]
        if let Some(builtin) = &self.builtin {
            let addr = builtin.addr();
            let host = if addr.ip().is_unspecified() { "127.0.0.1".into() } else { addr.ip().to_string() };
            return (host, addr.port(), false);
        }
        let url = settings.mqtt.url.as_ref();
        url.map_or_else(|| ("localhost".into(), 1883, false), |url| (url.host.clone(), url.port, url.tls))
    }

    /// Tells why the built-in broker refuses messages of ours, and counts them as dropped.
    #[cfg(feature = "broker")]
    pub(super) fn refusals(&self, counters: &Arc<Counters>) -> watch::Receiver<Option<String>> {
        let (tell, told) = watch::channel(None);
        if let Some(builtin) = &self.builtin {
            let (mut refused, counters) = (builtin.refused(), Arc::clone(counters));
            tokio::spawn(async move {
                let mut counted = 0;
                while refused.changed().await.is_ok() {
                    let now = refused.borrow_and_update().clone();
                    counters.refused(now.count - counted);
                    counted = now.count;
                    tell.send_if_modified(|told| std::mem::replace(told, now.why.clone()) != now.why);
                }
            });
        }
        told
    }

    #[cfg(not(feature = "broker"))]
    pub(super) fn refusals(&self, _counters: &Arc<Counters>) -> watch::Receiver<Option<String>> {
        watch::channel(None).1
    }

    #[cfg_attr(
        not(feature = "broker"),
        expect(clippy::unused_async, reason = "the same signature as with the broker")
    )]
    pub(super) async fn stop(self) {
        #[cfg(feature = "broker")]
        if let Some(builtin) = self.builtin {
            builtin.stop().await;
        }
    }
}
