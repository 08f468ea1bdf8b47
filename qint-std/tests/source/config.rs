//! `config.json` in all the forms that it is found in, and refusals by name.
use qint_core::llama::{Activation, RopeScaling};
use qint_std::{Error, config::ModelConfig, error::Class};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn golden(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(path);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn read(config: &Value) -> ModelConfig {
    ModelConfig::from_hugging_face(config, None).unwrap()
}

fn with(mut config: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn without(mut config: Value, key: &str) -> Value {
    config.as_object_mut().unwrap().remove(key);
    config
}

fn llama() -> Value {
    golden("llama2/config.json")
}

#[test]
fn reads_the_golden_families() {
    let llama2 = read(&llama());
    assert_eq!((llama2.family.as_str(), llama2.tied_head, llama2.bos), ("llama", false, Some(1)));
    assert_eq!(llama2.eos, [2]);
    let c = llama2.architecture;
    assert_eq!((c.hidden, c.intermediate, c.layers, c.heads, c.kv_heads, c.head_dim), (48, 100, 2, 4, 4, 12));
    assert_eq!((c.vocabulary, c.context, c.norm_epsilon, c.rope_theta), (131, 256, 1e-5, 10_000.0));
    assert_eq!((c.rope_scaling, c.sliding_window, c.activation), (RopeScaling::None, None, Activation::Silu));
    assert_eq!((c.norm_plus_one, c.embedding_scale), (false, 1.0));

    let mistral = read(&golden("mistral/config.json"));
    assert_eq!((mistral.architecture.sliding_window, mistral.tied_head), (Some(12), false));

    let gemma = read(&golden("gemma/config.json"));
    assert_eq!((gemma.family.as_str(), gemma.tied_head), ("gemma", true));
    assert_eq!((gemma.architecture.head_dim, gemma.architecture.q_dim()), (24, 72));
    assert_eq!(gemma.architecture.activation, Activation::GeluTanh);
    assert_eq!((gemma.architecture.norm_plus_one, gemma.architecture.embedding_scale), (true, 7.745_967));
    assert_eq!(read(&golden("gemma/config.legacy.json")), gemma);
    assert_eq!(read(&without(golden("gemma/config.legacy.json"), "hidden_activation")), gemma);

    let llama3 = read(&golden("llama3/config.json"));
    let scaling = RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 64.0 };
    assert_eq!((llama3.architecture.rope_scaling, llama3.tied_head), (scaling, true));
}

#[test]
fn reads_the_layout_of_transformers_5() {
    let classic = golden("llama3/config.json");
    let mut rope = classic["rope_scaling"].clone();
    rope["rope_theta"] = classic["rope_theta"].clone();
    let new = with(
        without(without(without(classic.clone(), "rope_scaling"), "rope_theta"), "torch_dtype"),
        json!({"rope_parameters": rope, "dtype": "bfloat16"}),
    );
    assert_eq!(read(&new), read(&classic));

    let plain = with(
        without(without(llama(), "rope_scaling"), "rope_theta"),
        json!({"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "dtype": "float32"}),
    );
    assert_eq!(read(&plain), read(&llama()));
}

#[test]
fn missing_fields_mean_what_transformers_means() {
    let mistral = golden("mistral/config.json");
    assert_eq!(read(&with(mistral.clone(), json!({"sliding_window": null}))).architecture.sliding_window, None);
    assert_eq!(read(&without(mistral.clone(), "sliding_window")).architecture.sliding_window, Some(4096));
    assert_eq!(read(&with(mistral, json!({"num_key_value_heads": null}))).architecture.kv_heads, 4);
    let bare = read(&without(without(llama(), "num_key_value_heads"), "rms_norm_eps"));
    assert_eq!((bare.architecture.kv_heads, bare.architecture.norm_epsilon), (4, 1e-6));
    assert!(!read(&without(llama(), "tie_word_embeddings")).tied_head);
    assert!(!read(&with(golden("gemma/config.json"), json!({"tie_word_embeddings": false}))).tied_head);
    let linear = with(llama(), json!({"rope_scaling": {"type": "linear", "factor": 4}}));
    assert_eq!(read(&linear).architecture.rope_scaling, RopeScaling::Linear { factor: 4.0 });
}

#[test]
fn merges_the_end_tokens_of_both_files() {
    let config = with(llama(), json!({"eos_token_id": [2, 5]}));
    let generation = json!({"eos_token_id": [7, 2], "bos_token_id": 3});
    let merged = ModelConfig::from_hugging_face(&config, Some(&generation)).unwrap();
    assert_eq!((merged.bos, merged.eos), (Some(3), vec![7, 2, 5]));
    let generation = json!({"do_sample": true});
    let merged = ModelConfig::from_hugging_face(&llama(), Some(&generation)).unwrap();
    assert_eq!((merged.bos, merged.eos), (Some(1), vec![2]));
    let none = read(&with(llama(), json!({"eos_token_id": null, "bos_token_id": null})));
    assert_eq!((none.bos, none.eos), (None, vec![]));
}

#[test]
fn refuses_by_name_what_it_does_not_do() {
    for (changes, name) in [
        (json!({"attention_bias": true}), "attention_bias"),
        (json!({"mlp_bias": true}), "mlp_bias"),
        (json!({"architectures": ["Qwen2ForCausalLM"]}), "Qwen2ForCausalLM"),
        (json!({"architectures": ["Gemma2ForCausalLM"]}), "Gemma2ForCausalLM"),
        (json!({"architectures": ["Phi3ForCausalLM"]}), "Phi3ForCausalLM"),
        (json!({"architectures": ["MixtralForCausalLM"]}), "MixtralForCausalLM"),
        (json!({"architectures": ["LlamaForSequenceClassification"]}), "LlamaForSequenceClassification"),
        (json!({"architectures": null, "model_type": "qwen2"}), "qwen2"),
        (json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), "dynamic"),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}), "yarn"),
        (json!({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}, "rope_scaling": null}), "longrope"),
        (json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}), "rope_parameters"),
        (json!({"quantization_config": {"quant_method": "gptq"}}), "quantization_config"),
        (json!({"hidden_act": "relu"}), "relu"),
        (json!({"hidden_act": "gelu"}), "gelu"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
        (json!({"layer_types": ["full_attention", "sliding_attention"]}), "sliding_attention"),
    ] {
        let error = ModelConfig::from_hugging_face(&with(llama(), changes.clone()), None).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported, "{changes}: {error}");
        assert!(error.to_string().contains(name), "{changes}: {error}");
    }
    read(&with(llama(), json!({"pretraining_tp": 2, "partial_rotary_factor": 1.0})));
}

#[test]
fn refuses_broken_numbers() {
    for (changes, name) in [
        (json!({"hidden_size": 0}), "hidden size"),
        (json!({"hidden_size": 50}), "attention heads"),
        (json!({"hidden_size": -48}), "hidden_size"),
        (json!({"hidden_size": "48"}), "hidden_size"),
        (json!({"hidden_size": 48.5}), "hidden_size"),
        (json!({"num_attention_heads": 0}), "attention heads"),
        (json!({"num_key_value_heads": 3}), "KV heads"),
        (json!({"num_key_value_heads": 0}), "KV heads"),
        (json!({"head_dim": 11}), "head dimension"),
        (json!({"head_dim": u64::MAX}), "head dimension"),
        (json!({"vocab_size": u64::MAX}), "vocabulary"),
        (json!({"num_hidden_layers": 1u64 << 40}), "layers"),
        (json!({"rms_norm_eps": 0.0}), "norm epsilon"),
        (json!({"rms_norm_eps": 1e300}), "norm epsilon"),
        (json!({"rope_theta": -1.0}), "rope theta"),
        (json!({"rope_scaling": {"type": "linear"}}), "factor"),
        (json!({"rope_scaling": {"type": "linear", "factor": 0}}), "factor"),
        (json!({"rope_scaling": 3}), "rope_scaling"),
        (json!({"eos_token_id": 131}), "131"),
        (json!({"eos_token_id": -1}), "eos_token_id"),
        (json!({"bos_token_id": [1]}), "bos_token_id"),
        (json!({"architectures": "LlamaForCausalLM"}), "architectures"),
    ] {
        let error = ModelConfig::from_hugging_face(&with(llama(), changes.clone()), None).unwrap_err();
        assert_eq!(error.class(), Class::Malformed, "{changes}: {error}");
        assert!(error.to_string().contains(name), "{changes}: {error}");
    }
    for key in ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"] {
        let error = ModelConfig::from_hugging_face(&without(llama(), key), None).unwrap_err();
        assert!(matches!(&error, Error::Malformed { why, .. } if why.contains(key)), "{error}");
    }
    assert!(ModelConfig::from_hugging_face(&json!([1]), None).is_err());
    assert!(ModelConfig::from_hugging_face(&llama(), Some(&json!("x"))).is_err());
}
