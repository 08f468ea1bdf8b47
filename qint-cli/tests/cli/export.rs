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

#[test]
fn a_flash_image_fits_its_budget_or_is_refused() {
    let directory = scratch("flash");
    let image = directory.join("model.qfw");
    let words = |more: &str| format!("export {} --target flash -o {} {more}", container().display(), image.display());
    let needs = run(&words("--json --context 64 --kv f16")).fine().json();
    assert_eq!((needs["kv"].as_str(), needs["context"].as_u64()), (Some("f16"), Some(64)));
    assert_eq!(needs["flash"].as_u64(), Some(std::fs::metadata(&image).unwrap().len()));
    run(&words("")).refused(2, "--force");
    std::fs::remove_file(&image).unwrap();
    run(&words("--flash 100K")).refused(8, "the model in flash needs");
    run(&words("--ram 10K")).refused(8, "the model in RAM");
    run(&words("--context 10000")).refused(2, "context");
    run(&words("--codec q8")).refused(2, "quantized already");
    assert!(!image.exists(), "nothing is written when it is refused");
    run(&format!("export {} --format npz --flash 1M -o x", container().display())).refused(2, "--target flash");
    run(&words("--emit rust")).fine();
    assert!(std::fs::read_to_string(&image).unwrap().contains("pub static MODEL: &[u8]"));
}
