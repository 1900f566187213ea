//! What a competition is: the bundle reader, phases, tasks, teams and quotas.
//!
//! Central types: [`definition::Definition`] (what the author declared) and `bundle::Bundle` (a
//! checked folder). May call `store`, `audit`, `people`; must never touch HTTP or Docker.

// `definition` joins the build when `scoring::metric` stands.
