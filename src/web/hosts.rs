//! The workers that hold sandboxes, this process among them when it does.

use super::App;
use crate::lab::door::Door;
use crate::lab::hosts::{Host, db};
use crate::lab::model::Sandbox;
use crate::store::{Connection, StoreError};

/// The workers alive that hold sandboxes.
///
/// # Errors
/// When the database fails.
pub(super) async fn alive(app: &App, conn: &mut Connection) -> Result<Vec<Host>, StoreError> {
    let mut hosts = db::alive(conn, app.clock.now()).await?;
    // it need not have written its row yet
    if let (Some(keeper), Some(door)) = (&app.keeper, &app.door)
        && !hosts.iter().any(|host| host.name == keeper.host())
    {
        let places = i64::from(app.settings.sandboxes.places);
        hosts.push(Host { name: keeper.host().to_owned(), door: door.clone(), places });
    }
    Ok(hosts)
}

/// How many sandboxes there can be at a time, on all of them.
pub(super) fn places(hosts: &[Host]) -> i64 {
    hosts.iter().map(|host| host.places).sum()
}

/// Where browsers reach a sandbox; `None` when nobody holds it, or its worker has not been heard of.
pub(super) fn door_to<'a>(hosts: &'a [Host], sandbox: &Sandbox) -> Option<&'a Door> {
    let held_by = sandbox.host.as_ref()?;
    hosts.iter().find(|host| host.name == *held_by).map(|host| &host.door)
}

/// Whether a worker other than this process's has a sandbox: what only its holder can tell is told there.
pub(super) fn is_elsewhere(app: &App, sandbox: &Sandbox) -> bool {
    let here = app.keeper.as_ref().map(|keeper| keeper.host());
    sandbox.state.takes_a_place() && sandbox.host.as_deref() != here
}
