//! Shuyu (数域) hosts data-innovation competitions and training courses on public data that may not
//! leave its domain. The rooms below stand in the order in which data flows; each `mod.rs` says
//! what the room is for, what it may call and what it must never do. `docs/architecture.md`
//! follows one submission through them.

pub mod airlock;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contest;
pub mod crypto;
pub mod demo;
pub mod house;
pub mod ids;
pub mod judging;
pub mod lab;
pub mod people;
pub mod probing;
pub mod sandbox;
pub mod scoring;
pub mod store;
pub mod submission;
pub mod ticket;
pub mod web;
