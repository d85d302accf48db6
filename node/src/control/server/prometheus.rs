//! A node's numbers as Prometheus reads them: text format 0.0.4.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::control::api::{Metric, MetricKind};

/// The text. Metrics of one name stand together, under one help line, as the format asks.
pub fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut written = BTreeSet::new();
    for first in metrics {
        if !written.insert(first.name.as_str()) {
            continue;
        }
        let kind = match first.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let help = escaped(&first.help, false);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {} {help}\n# TYPE {0} {kind}", first.name);
        for metric in metrics.iter().filter(|metric| metric.name == first.name) {
            let labels: Vec<String> = metric
                .labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{}\"", escaped(value, true)))
                .collect();
            let _ = match labels.is_empty() {
                true => writeln!(text, "{} {}", metric.name, number(metric.value)),
                false => writeln!(
                    text,
                    "{}{{{}}} {}",
                    metric.name,
                    labels.join(","),
                    number(metric.value)
                ),
            };
        }
    }
    text
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    match quotes {
        true => text.replace('"', "\\\""),
        false => text,
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() && value > 0.0 => "+Inf".to_owned(),
        value if value.is_infinite() => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, label: Option<(&str, &str)>, value: f64) -> Metric {
        Metric {
            name: name.to_owned(),
            help: "A number.\nWith \\ in it.".to_owned(),
            kind: MetricKind::Gauge,
            labels: label
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            value,
        }
    }

    #[test]
    fn one_name_has_one_help_and_values_are_escaped() {
        let metrics = [
            metric("regatta_links", Some(("kind", "direct")), 3.0),
            metric("regatta_up", None, 1.5),
            metric("regatta_links", Some(("kind", "a\"b\\c\nd")), f64::INFINITY),
        ];
        let expect = "\
# HELP regatta_links A number.\\nWith \\\\ in it.
# TYPE regatta_links gauge
regatta_links{kind=\"direct\"} 3
regatta_links{kind=\"a\\\"b\\\\c\\nd\"} +Inf
# HELP regatta_up A number.\\nWith \\\\ in it.
# TYPE regatta_up gauge
regatta_up 1.5
";
        assert_eq!(text(&metrics), expect);
        assert_eq!(text(&[]), "");
    }
}
