//! The database (sqlx) and the objects (object_store).
