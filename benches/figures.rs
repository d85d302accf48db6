//! What benchmarks say of many measurements.

#![allow(dead_code, reason = "a benchmark needs a part of it")]

use std::time::Duration;

/// In milliseconds: what so many percent of sorted measurements do not exceed.
pub fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent)
        .div_ceil(100)
        .clamp(1, sorted.len())
        - 1;
    sorted[index].as_secs_f64() * 1e3
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
