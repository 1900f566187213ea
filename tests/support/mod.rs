//! Services and servers that tests start for themselves. Each test binary takes what it needs.
#![allow(dead_code, reason = "every test binary includes this module and none uses all of it")]
#![allow(unused_imports, reason = "every test binary includes this module and none uses all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests call this")]

pub mod app;
pub mod arena;
pub mod chromium;
pub mod contest;
pub mod databases;
pub mod leftovers;
pub mod onnx;
pub mod postgres;
pub mod s3;
pub mod wheels;

pub use app::{Answer, Browser, PASSWORD, TestApp};
pub use contest::{Wanted, predictions};
