use super::*;
use crate::error::Class;
use proptest::prelude::*;

/// Nothing is cut off.
fn open() -> SamplerSettings {
    SamplerSettings { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..SamplerSettings::default() }
}

fn sampler(settings: SamplerSettings) -> Sampler {
    Sampler::new(settings).unwrap()
}

fn counts(settings: SamplerSettings, logits: &[f32], draws: usize) -> Vec<usize> {
    let mut sampler = sampler(settings);
    let mut counts = vec![0; logits.len()];
    for _ in 0..draws {
        counts[sampler.sample(logits, &[]).unwrap() as usize] += 1;
    }
    counts
}

/// ln of 1/2, 1/4, 1/8, 1/16, 1/16.
fn halves() -> Vec<f32> {
    [0.5f32, 0.25, 0.125, 0.0625, 0.0625].map(f32::ln).to_vec()
}

#[test]
fn temperature_zero_takes_the_lowest_of_the_largest() {
    assert_eq!(greedy(&[1.0, 3.0, 3.0, 2.0]).unwrap(), 1);
    assert_eq!(greedy(&[-0.0, 0.0]).unwrap(), 0);
    assert_eq!(greedy(&[5.0]).unwrap(), 0);
}

#[test]
fn broken_logits_are_errors() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for settings in [SamplerSettings::greedy(), SamplerSettings::default()] {
            assert_eq!(sampler(settings).sample(&[0.0, bad], &[]).unwrap_err().class(), Class::Malformed);
        }
    }
    assert!(greedy(&[]).is_err());
}

#[test]
fn settings_out_of_range_are_refused() {
    let good = SamplerSettings::default();
    let bad = [
        SamplerSettings { temperature: -0.1, ..good },
        SamplerSettings { temperature: f32::NAN, ..good },
        SamplerSettings { temperature: f32::INFINITY, ..good },
        SamplerSettings { top_p: 1.1, ..good },
        SamplerSettings { top_p: f32::NAN, ..good },
        SamplerSettings { min_p: -1.0, ..good },
        SamplerSettings { min_p: f32::NAN, ..good },
        SamplerSettings { repeat_penalty: 0.0, ..good },
        SamplerSettings { repeat_penalty: f32::INFINITY, ..good },
    ];
    for settings in bad {
        assert_eq!(Sampler::new(settings).unwrap_err().class(), Class::Usage, "{settings:?}");
    }
}

#[test]
fn draws_follow_the_probabilities() {
    let counts = counts(open(), &halves(), 64_000);
    for (count, expected) in counts.iter().zip([32_000.0, 16_000.0, 8_000.0, 4_000.0, 4_000.0]) {
        let deviation = (*count as f64 - expected).abs() / f64::sqrt(expected);
        assert!(deviation < 5.0, "{counts:?}");
    }
}

#[test]
fn temperature_sharpens_and_flattens() {
    let flat = counts(SamplerSettings { temperature: 1e6, ..open() }, &halves(), 10_000);
    assert!(flat.iter().all(|count| (1800..2200).contains(count)), "{flat:?}");
    let sharp = counts(SamplerSettings { temperature: 1e-6, ..open() }, &halves(), 1000);
    assert_eq!(sharp, [1000, 0, 0, 0, 0]);
    let squared = counts(SamplerSettings { temperature: 0.5, ..open() }, &halves(), 10_000);
    assert!((7250..7800).contains(&squared[0]), "{squared:?}"); // 64/86 + small change: 1/4 of 11/32
}

#[test]
fn cuts_keep_what_they_should() {
    let kept = |settings| counts(settings, &halves(), 4000).iter().filter(|&&count| count > 0).count();
    assert_eq!(kept(open()), 5);
    assert_eq!(kept(SamplerSettings { top_k: 2, ..open() }), 2);
    assert_eq!(kept(SamplerSettings { top_k: 1, ..open() }), 1);
    assert_eq!(kept(SamplerSettings { top_k: 99, ..open() }), 5);
    assert_eq!(kept(SamplerSettings { top_p: 0.0, ..open() }), 1);
    assert_eq!(kept(SamplerSettings { top_p: 0.49, ..open() }), 1);
    assert_eq!(kept(SamplerSettings { top_p: 0.7, ..open() }), 2);
    assert_eq!(kept(SamplerSettings { top_p: 0.8, ..open() }), 3);
    assert_eq!(kept(SamplerSettings { min_p: 0.3, ..open() }), 2);
    assert_eq!(kept(SamplerSettings { min_p: 1.0, ..open() }), 1);
    assert_eq!(kept(SamplerSettings { top_k: 2, top_p: 0.6, ..open() }), 1, "2/3 of the two that are left");
}

#[test]
fn repeated_tokens_get_worse() {
    let settings = SamplerSettings { repeat_penalty: 2.0, repeat_last_n: 2, ..SamplerSettings::greedy() };
    let logits = [4.0, 3.0, -1.0];
    let next = |history: &[u32], logits: &[f32]| sampler(settings).sample(logits, history).unwrap();
    assert_eq!(next(&[], &logits), 0);
    assert_eq!(next(&[0, 0], &logits), 1, "halved once, not twice");
    assert_eq!(next(&[0, 9, 9], &logits), 0, "too long ago");
    assert_eq!(next(&[1, 0], &logits), 0);
    assert_eq!(next(&[0, 1], &[-1.0, -1.5, -1.9]), 2, "negative logits move down");
    assert_eq!(next(&[u32::MAX], &logits), 0);
}

#[test]
fn a_seed_fixes_everything() {
    let logits: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1000) as f32 / 200.0).collect();
    let draw = |seed| {
        let mut sampler = sampler(SamplerSettings { seed, ..SamplerSettings::default() });
        (0..12).map(|_| sampler.sample(&logits, &[]).unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert_eq!(draw(42), GOLDEN, "the same on every platform and in every version");
}
const GOLDEN: [u32; 12] = [25, 556, 136, 383, 531, 926, 531, 630, 309, 889, 99, 914];

#[test]
fn large_vocabularies_are_cut_as_small_ones() {
    let logits: Vec<f32> = (0..50_000u32).map(|i| f32::sin(i as f32 * 0.37) * 3.0).collect();
    for top_p in [0.1, 0.5, 0.9, 0.9999] {
        let mut sampler = sampler(SamplerSettings { top_p, ..open() });
        sampler.sample(&logits, &[]).unwrap();
        let mut all: Vec<f64> = logits.iter().map(|&logit| f64::exp(f64::from(logit))).collect();
        all.sort_by(|left, right| right.total_cmp(left));
        let enough = f64::from(top_p) * all.iter().sum::<f64>();
        let mut sum = 0.0;
        let expected = 1 + all
            .iter()
            .position(|weight| {
                sum += weight;
                sum >= enough
            })
            .unwrap();
        assert!(sampler.candidates.len().abs_diff(expected) <= 1, "{} for {expected}", sampler.candidates.len());
    }
}

/// Not an assertion: run with `--nocapture` to see the cost.
#[test]
fn drawing_from_a_large_vocabulary_is_quick() {
    let logits: Vec<f32> = (0..49_152u32).map(|i| f32::sin(i as f32 * 0.37) * 8.0).collect();
    for (name, settings) in [("defaults", SamplerSettings::default()), ("nothing cut", open())] {
        let mut sampler = sampler(settings);
        let time = |_| {
            let start = std::time::Instant::now();
            sampler.sample(&logits, &[]).unwrap();
            start.elapsed().as_micros()
        };
        println!("49152 logits, {name}: {} us", (0..100).map(time).min().unwrap());
    }
}

proptest! {
    #[test]
    fn any_settings_draw_an_allowed_token(
        logits in prop::collection::vec(prop_oneof![-30f32..30.0, Just(0.0), Just(f32::MAX), Just(f32::MIN)], 1..600),
        temperature in prop_oneof![Just(0f32), 1e-30f32..1e30, 0f32..3.0],
        top_k in 0usize..700, top_p in 0f32..=1.0, min_p in 0f32..=1.0,
        repeat_penalty in prop_oneof![Just(1f32), 1e-30f32..1e30], seed: u64,
    ) {
        let settings =
            SamplerSettings { temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n: 3, seed };
        let id = sampler(settings).sample(&logits, &[0, 1, 2, 3]).unwrap() as usize;
        prop_assert!(id < logits.len());
        if repeat_penalty == 1.0 && top_k > 0 {
            let larger = logits.iter().filter(|&&other| other > logits[id]).count();
            prop_assert!(larger < top_k);
        }
    }
}
