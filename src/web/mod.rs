//! The router, pages and REST interface.
