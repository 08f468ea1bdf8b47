//! The results of `qint bench` as a table for people and as CSV.
use crate::{
    errors::Result,
    output::{Align, Output, Table},
};
use qint_std::bench::{Bench, BenchResult};

pub(super) fn markdown(bench: &Bench, model: &str, output: &mut Output) -> Result<()> {
    let header = ["model", "codec", "backend", "threads", "test", "tokens/s", "% of limit"];
    let alignment = &[Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right];
    let mut table = Table::new(alignment, &header);
    for result in &bench.results {
        let speed = format!("{:.2} ± {:.2}", result.tokens_per_second, result.stddev);
        let (codec, backend) = (result.codec.clone(), result.backend.to_string());
        let percent = result.percent_of_limit.map(|percent| format!("{percent:.0} ({})", result.limited_by));
        let (threads, percent) = (result.threads.to_string(), percent.unwrap_or_default());
        table.row(vec![model.to_string(), codec, backend, threads, test_name(result), speed, percent]);
    }
    output.text(&table.markdown())?;
    output.line("")?;
    output.line(&roofline(bench))
}

/// `pp512`, `tg128 @ d1024`, `tg128 x 4`.
fn test_name(result: &BenchResult) -> String {
    let mut name = format!("{}{}", result.test, result.n);
    if result.depth > 0 {
        name += &format!(" @ d{}", result.depth);
    }
    if result.batch > 1 {
        name += &format!(" x {}", result.batch);
    }
    name
}

/// What the percentages are percent of.
fn roofline(bench: &Bench) -> String {
    let megabytes = bench.work.bytes_per_token as f64 / 1e6;
    let memory = match bench.limits.read_gb_per_s {
        Some(read) => format!(
            "A generated token reads {megabytes:.1} MB; this machine reads {read:.1} GB/s, at most {:.1} tokens/s.",
            read * 1e3 / megabytes
        ),
        None => format!("A token reads {megabytes:.1} MB; the read bandwidth was not measured (it needs 512 MiB)."),
    };
    match (bench.work.multiply_adds_per_token, bench.limits.dot_gmac_per_s) {
        (Some(multiply_adds), Some(rate)) => {
            let millions = multiply_adds as f64 / 1e6;
            let most = rate * 1e3 / millions;
            format!(
                "{memory}\nA prompt's token takes {millions:.1} million multiply-adds; this machine does {rate:.1} GMAC/s, at most {most:.1} tokens/s."
            )
        }
        _ => memory,
    }
}

pub(super) fn csv(bench: &Bench, output: &mut Output) -> Result<()> {
    let header = "test,n,depth,batch,threads,codec,backend,tokens_per_second,stddev,limited_by,percent_of_limit";
    output.line(header)?;
    for result in &bench.results {
        let BenchResult { test, n, depth, batch, threads, codec, backend, .. } = result;
        let BenchResult { tokens_per_second, stddev, limited_by, percent_of_limit, .. } = result;
        let percent = percent_of_limit.map(|percent| format!("{percent:.2}")).unwrap_or_default();
        output.line(&format!(
            "{test},{n},{depth},{batch},{threads},{codec},{backend},{tokens_per_second:.3},{stddev:.3},{limited_by},{percent}"
        ))?;
    }
    Ok(())
}
