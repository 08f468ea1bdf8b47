//! `export`: a directory that works like a checkpoint.
use super::{
    command::run,
    models::{container, scratch},
};

#[test]
fn an_export_is_a_model_and_is_not_replaced_by_accident() {
    let target = scratch("export").join("npz");
    let words = format!("export {} --format npz -o {}", container().display(), target.display());
    assert_eq!(run(&words).fine().stdout, "");
    run(&words).refused(2, "--force");
    assert_eq!(run(&format!("{words} --force --json")).fine().json()["schema"], "qint.export/1");
    let listing = run(&format!("inspect {} --json", target.display())).fine().json();
    assert_eq!(listing["weights"], 968_800);
    assert!(run(&format!("run {} -q -t 1 -p ROMEO: -n 5", target.display())).fine().stdout.len() > 8);
    run(&format!("export {} --format onnx -o x", container().display())).refused(2, "npz");
}
