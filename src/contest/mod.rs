//! What a competition is: the bundle reader, phases, tasks, teams and quotas.
//!
//! Central types: [`definition::Definition`] (what the author declared) and [`bundle::Bundle`] (a
//! checked folder). May call `store`, `audit`, `people`, and `submission::unpack` for its bounded
//! unpacker; must never touch HTTP or Docker.

pub mod bundle;
pub mod definition;
