//! Users, organisations, sessions, tokens and roles.
