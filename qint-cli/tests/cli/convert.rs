//! `convert`: its rules, its output, and what it refuses.
use super::{
    command::{Ended, qint},
    models::{bundled, scratch},
};
use std::{fs, path::Path};

fn convert(target: &Path, options: &str) -> Ended {
    let mut command = qint(["convert"]);
    command.arg(bundled()).arg("-o").arg(target).args(options.split_whitespace());
    Ended::new(&command.output().expect("qint starts"))
}

#[test]
fn the_payload_is_the_file() {
    let target = scratch("convert").join("model.qint.safetensors");
    let ended = convert(&target, "");
    assert_eq!(ended.fine().stdout, "");
    assert!(ended.stderr.contains("968,800 weights"), "{ended:?}");
    convert(&target, "").refused(2, "--force");
    let quiet = convert(&target, "--force --quiet");
    assert_eq!((quiet.fine().stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let document = convert(&target, "--force --json --codec q8").fine().json();
    assert_eq!(document["schema"], "qint.convert/1");
    assert_eq!(document["weights"], 968_800);
    assert!(document["bits_per_weight_linear"].as_f64().expect("a number") > 8.0);
}

#[test]
fn rules_and_groups_reach_the_tensors() {
    let target = scratch("rules").join("model.qint.safetensors");
    let rules = "--codec q2 --group 32 --rule *.down_proj.weight=q8:g64 --rule model.embed_tokens.weight=q4";
    convert(&target, &format!("{rules} --transform none --activation-block 512")).fine();
    let listing = Ended::new(&qint(["inspect"]).arg(&target).output().expect("qint starts")).fine().stdout.clone();
    let stored = |name: &str| listing.lines().find(|line| line.contains(name)).expect("the tensor").to_string();
    assert!(stored("embed_tokens").contains("q4:g32"), "{listing}");
    assert!(stored("layers.2.mlp.down_proj").contains("q8:g64 none:b512"), "{listing}");
    assert!(stored("layers.0.self_attn.q_proj").contains("q2:g32 none:b512"), "{listing}");
}

#[test]
fn wrong_recipes_are_usage_errors_and_leave_nothing() {
    let directory = scratch("recipes");
    let target = directory.join("model.qint.safetensors");
    for (options, says) in [
        ("--codec q5", "q4-linear"),
        ("--group 48", "32, 64 or 128"),
        ("--rule foo", "PATTERN=CODEC"),
        ("--rule foo=q4", "'foo'"),
        ("--transform fourier", "hadamard"),
        ("--activation-block 100", "512"),
        ("--activation-rule *.0.self_attn.q_proj.weight=none", "share an input"),
    ] {
        convert(&target, options).refused(2, says);
    }
    assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 0);
    convert(&directory.join("absent/model"), "").refused(4, "no such directory");
}
