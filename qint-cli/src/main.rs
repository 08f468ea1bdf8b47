//! The `qint` command.

fn main() {}
