//! `shuyu serve`: the pages and the API.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, block_on, database, log, world};
use crate::config::Settings;
use crate::web::{self, App};

/// What `shuyu serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The address people type, without a slash at the end
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

pub(super) fn run(common: &Common, args: Args) -> anyhow::Result<()> {
    let listen = args.listen.map(|address| address.to_string());
    let settings = common.settings(&[("listen", listen), ("public_url", args.public_url)])?;
    log(&settings.log)?;
    block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let db = database(&settings).await?;
    let (clock, _) = world();
    let app = App::new(settings, db.clone(), clock, Vec::new())?;
    let listener = TcpListener::bind(app.settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", app.settings.listen))?;
    tracing::info!(listen = %listener.local_addr()?, url = app.settings.public_url, "serving");

    let live = app.live.clone();
    let reading = tokio::spawn({
        let live = live.clone();
        async move { live.run().await }
    });
    let service = web::router(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            stopped().await;
            tracing::info!("stopping: requests under way are finished");
            live.close();
        })
        .await?;
    reading.await?;
    db.close().await;
    Ok(())
}

/// Returns when the process is asked to end.
async fn stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
