//! The port where sandboxes' own origins are served, and nothing else.

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::web::{App, serve_sandboxes};

/// A port that is taken, and not served yet.
pub(super) struct SandboxPort(TcpListener);

impl SandboxPort {
    /// Takes the port, where one is set.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub(super) async fn take(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.sandboxes.own_port() else { return Ok(None) };
        let listener = TcpListener::bind(address).await.with_context(|| {
            let mend =
                "stop what listens there, or set another with SHUYU_SANDBOXES__LISTEN or …__LAN_LISTEN";
            format!("cannot listen on {address} for sandboxes; {mend}")
        })?;
        Ok(Some(Self(listener)))
    }

    /// Serves the sandboxes that this process holds until `stop` fires, and then what is under way.
    pub(super) async fn serve(self, app: App, stop: CancellationToken) -> anyhow::Result<()> {
        let pattern = app.door.as_ref().map(|door| door.pattern().to_owned());
        tracing::info!(listen = %self.0.local_addr()?, origin = pattern, "serving sandboxes");
        Ok(serve_sandboxes(self.0, app, stop).await?)
    }
}
