//! Where the ticks of a scale are, and what is written beside them.

/// A mark on a scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    /// Nothing for minor ticks.
    pub(super) label: Option<String>,
}

/// Ticks, and the power of ten that their labels are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    pub(super) ticks: Vec<Tick>,
    pub(super) power: i32,
}

/// Ticks at round values, about `count` with labels.
pub(super) fn linear(low: f64, high: f64, count: f64) -> Ticks {
    let rough = (high - low) / count.max(1.0);
    let magnitude = 10_f64.powf(rough.log10().floor());
    // A step of 2 is cut into four, so that minor ticks are round, too.
    let steps = [(1.0, 5), (2.0, 4), (5.0, 5), (10.0, 5)];
    let (factor, parts) =
        steps.into_iter().find(|(factor, _)| factor * magnitude >= rough * 0.999).unwrap_or((10.0, 5));
    let step = factor * magnitude;
    if !step.is_finite() || step <= 0.0 {
        return Ticks { ticks: Vec::new(), power: 0 };
    }
    let largest = low.abs().max(high.abs());
    let power = match largest.log10().floor() {
        power if (-3.0..5.0).contains(&power) => 0,
        // By threes, as units go.
        power => (power / 3.0).floor() as i32 * 3,
    };
    let unit = 10_f64.powi(power);
    let decimals = (-(step / unit).log10().floor()).clamp(0.0, 12.0) as usize;
    let minor = step / f64::from(parts);
    let (first, last) = ((low / minor - 1e-6).ceil() as i64, (high / minor + 1e-6).floor() as i64);
    let ticks = (first..=last.min(first + 1000)).map(|number| Tick {
        at: number as f64 * minor,
        label: (number % i64::from(parts) == 0).then(|| {
            let value = (number / i64::from(parts)) as f64 * step / unit;
            signed(&format!("{value:.decimals$}"))
        }),
    });
    Ticks { ticks: ticks.collect(), power }
}

/// Ticks at powers of ten, and at 2 to 9 of them. If there are not enough powers, 2 and 5 have labels, too.
pub(super) fn log(low: f64, high: f64, count: f64) -> Ticks {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = high.log10() - low.log10();
    let every = (decades / count.max(1.0)).ceil().max(1.0) as i32;
    let mut ticks = Vec::new();
    for power in first..=last {
        for digit in 1..=9 {
            let at = f64::from(digit) * 10_f64.powi(power);
            if at < low * (1.0 - 1e-9) || at > high * (1.0 + 1e-9) || (every > 1 && digit > 1) {
                continue;
            }
            let label = match digit {
                1 if power.rem_euclid(every) == 0 => Some(power_of_ten(power)),
                2 | 5 if decades < 2.0 => Some(plain(at)),
                _ => None,
            };
            ticks.push(Tick { at, label });
        }
    }
    Ticks { ticks, power: 0 }
}

/// `1`, `10`, and then `10^{n}`.
fn power_of_ten(power: i32) -> String {
    match power {
        0 => "1".into(),
        1 => "10".into(),
        _ => format!("10^{{{}}}", signed(&power.to_string())),
    }
}

/// A number with as many digits as a reader wants of it.
pub(super) fn plain(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return signed(&value.to_string());
    }
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        let power = size.log10().floor();
        let digits = trimmed(format!("{:.2}", value / 10_f64.powf(power)));
        return format!("{}×10^{{{}}}", signed(&digits), signed(&power.to_string()));
    }
    let decimals = if size == 0.0 { 0 } else { (3.0 - size.log10().floor()).clamp(0.0, 6.0) as usize };
    signed(&trimmed(format!("{value:.decimals$}")))
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// With a minus sign, which is wider than a hyphen.
fn signed(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|digit| matches!(digit, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &Ticks) -> Vec<&str> {
        ticks.ticks.iter().filter_map(|tick| tick.label.as_deref()).collect()
    }

    #[test]
    fn labels_stand_at_round_values() {
        assert_eq!(labels(&linear(0.0, 200.0, 6.0)), ["0", "50", "100", "150", "200"]);
        assert_eq!(labels(&linear(-2.4, 2.4, 6.0)), ["−2", "−1", "0", "1", "2"]);
        assert_eq!(labels(&linear(0.0, 0.7, 7.0)), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
    }

    #[test]
    fn large_values_have_a_power_of_ten_in_common() {
        let ticks = linear(0.0, 2_600_000.0, 5.0);

        assert_eq!((labels(&ticks), ticks.power), (vec!["0", "1", "2"], 6));
    }

    #[test]
    fn powers_of_ten_are_written_as_such() {
        assert_eq!(labels(&log(0.5, 20_000.0, 6.0)), ["1", "10", "10^{2}", "10^{3}", "10^{4}"]);
        assert_eq!(labels(&log(0.001, 0.02, 6.0)), ["10^{−3}", "0.002", "0.005", "10^{−2}", "0.02"]);
        assert_eq!(labels(&log(1e-12, 1e12, 5.0)), ["10^{−10}", "10^{−5}", "1", "10^{5}", "10^{10}"]);
    }

    #[test]
    fn numbers_have_few_digits() {
        assert_eq!(plain(91.18762), "91.19");
        assert_eq!(plain(-0.5), "−0.5");
        assert_eq!(plain(123_456_789.0), "1.23×10^{8}");
        assert_eq!(plain(0.0), "0");
    }
}
