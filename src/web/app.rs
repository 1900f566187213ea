//! [`App`]: what every handler has at hand.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::health::Check;
use super::limits::Limits;
use super::live::Live;
use super::templates::{TemplateError, Templates};
use crate::clock::{Clock, Entropy};
use crate::config::Settings;
use crate::house::House;
use crate::judging::panel;
use crate::lab::door::Door;
use crate::lab::keeper::Keeper;
use crate::people::{People, SessionTerms};
use crate::scoring::board::Boards;
use crate::store::Db;

/// What every handler has at hand. Cheap to clone; the fields are those of [`Shared`].
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The fields of an [`App`].
pub struct Shared {
    /// The settings.
    pub settings: Settings,
    /// What the acting rooms are handed: database, objects, time, bells.
    pub house: House,
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Users, sessions, tokens, roles.
    pub people: People,
    /// Templates and texts.
    pub templates: Templates,
    /// Live updates.
    pub live: Live,
    /// The leaderboards in memory.
    pub boards: Boards,
    /// Rate limits.
    pub limits: Arc<Limits>,
    /// What `/readyz` asks.
    pub checks: Vec<Check>,
    /// The keeper of the sandboxes that this process's worker holds.
    pub keeper: Option<Keeper>,
    /// Where browsers reach the sandboxes of this process.
    pub door: Option<Door>,
}

impl App {
    /// Puts the parts together. `checks` are asked by `/readyz` and shown on the status page, beside
    /// the database and the disk, which are always asked. `limits` are those that the keeper's clerk counts by, too.
    ///
    /// # Errors
    /// When a template or text cannot be read.
    pub fn new(
        settings: Settings,
        house: House,
        checks: Vec<Check>,
        keeper: Option<Keeper>,
        limits: Arc<Limits>,
    ) -> Result<Self, TemplateError> {
        let (db, clock, entropy) = (house.db.clone(), house.clock.clone(), house.entropy);
        let session = &settings.session;
        let terms = SessionTerms {
            idle: Duration::from_secs(u64::from(session.idle_minutes) * 60),
            absolute: Duration::from_secs(u64::from(session.absolute_hours) * 3600),
        };
        let people = People::new(db.clone(), clock.clone(), entropy, terms)
            .followed_by(|tx, user, at| Box::pin(panel::organisation_changed(tx, user, at)));
        let templates = Templates::load(&settings.site.zone)?;
        let live = Live::new(db.clone(), clock.clone(), settings.limits.live_connections);
        let mut all = vec![Check::database(&db), Check::disk(&settings.data_dir)];
        all.extend(checks);
        let shared = Shared {
            door: Door::of(&settings),
            settings,
            house,
            db,
            clock,
            entropy,
            people,
            templates,
            live,
            boards: Boards::default(),
            limits,
            checks: all,
            keeper,
        };
        Ok(Self(Arc::new(shared)))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}
