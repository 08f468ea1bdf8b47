//! Not written yet: this crate holds its place in the workspace.
