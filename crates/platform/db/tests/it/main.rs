//! Both engines behind the one facade: what goes in comes out, what is acknowledged is kept.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod kill;
mod migrations;
mod reads;
mod values;
mod writes;

use platform_db::{Migration, MigrationSet};

/// The tables of these tests.
const SHOP: MigrationSet = MigrationSet {
    group: "shop",
    migrations: &[Migration {
        version: 1,
        name: "0001_shop",
        sql: "CREATE TABLE kinds (
                  id BIGINT PRIMARY KEY,
                  flag BOOLEAN,
                  whole BIGINT,
                  fraction DOUBLE PRECISION,
                  words TEXT,
                  raw BYTEA
              );
              CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
              CREATE TABLE counters (id BIGINT PRIMARY KEY, value BIGINT NOT NULL);
              INSERT INTO counters (id, value) VALUES (1, 0);
              CREATE TABLE pairs (id BIGINT NOT NULL, side TEXT NOT NULL, PRIMARY KEY (id, side));",
    }],
};
