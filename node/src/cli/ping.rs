//! `regatta ping`: whether devices answer, how fast, and by which way.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format, words};
use super::place::Place;
use super::{span, targets};
use crate::control::api::{PongLine, Problem, one_line};
use crate::control::client::ClientError;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Devices by their names or ids
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// How many probes, for each device
    #[arg(short, long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Between two probes: 200ms, 1s
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: u64,
    /// How to show it; -o json gives a line for each probe
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

fn interval(text: &str) -> Result<u64, String> {
    let ms = span::parse(text)?;
    match ms {
        100..=60_000 => Ok(ms),
        _ => Err("between 100ms and 60s".to_owned()),
    }
}

/// Probes each; whoever answered no probe has failed.
///
/// # Errors
/// When the node does not answer, or the only device did not.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let mut failed = 0;
    for name in &arguments.names {
        let mut answers = 0;
        let mut last: Option<Problem> = None;
        let pinged = client.ping(name, arguments.count, arguments.interval, |line| {
            answers += u32::from(line.pong.is_some());
            shown(console, arguments.output, name, &line)?;
            if let Some(problem) = line.problem {
                last = Some(problem);
            }
            console.out.flush()
        });
        match pinged.await {
            Ok(()) => {}
            Err(ClientError::Problem(problem)) => last = Some(problem),
            Err(other) => return Err(other.into()),
        }
        if answers == 0 {
            let problem =
                last.unwrap_or_else(|| Problem::bug("the node gave no answer to a probe"));
            if arguments.names.len() == 1 {
                return Err(problem.into());
            }
            failed += 1;
            let named = problem.error.starts_with(name);
            console.say(&match named {
                true => problem.error,
                false => format!("{name}: {problem}"),
            });
        }
    }
    Ok(targets::exit(failed, arguments.names.len()))
}

fn shown(
    console: &mut Console<'_>,
    format: Format,
    name: &str,
    line: &PongLine,
) -> std::io::Result<()> {
    if !format.is_table() {
        let mut value = serde_json::to_value(line)?;
        value["name"] = name.into();
        return match format {
            Format::Json => output::json_line(console.out, &value),
            _ => output::yaml(console.out, &serde_json::json!([value])),
        };
    }
    match &line.pong {
        Some(pong) => writeln!(
            console.out,
            "{}: {} {}, {}",
            one_line(name),
            pong.path.word(),
            words::round_trip(pong.rtt_us),
            one_line(&pong.address)
        ),
        None => writeln!(
            console.out,
            "{}: no answer to probe {}",
            one_line(name),
            line.number
        ),
    }
}
