//! One table: medians, ratios to Haven's, targets and whether they are met.

use crate::engine::Engine;
use crate::measure::{Figure, Target, Unit};
use haven_tests::say;

pub(crate) fn print(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let mut head = format!("{:width$} {:>6}", "measure (medians)", "unit");
    for engine in Engine::ALL {
        head.push_str(&format!(" {:>10}", engine.name()));
    }
    head.push_str("  target");
    say(&head);
    for figure in figures {
        let mut line = format!("{:width$} {:>6}", figure.name, unit(figure.unit));
        for engine in Engine::ALL {
            let cell = figure.median(engine).map_or_else(|| "–".to_owned(), number);
            line.push_str(&format!(" {cell:>10}"));
        }
        let verdicts: Vec<String> = figure.targets.iter().map(|target| verdict(figure, *target)).collect();
        line.push_str(&format!("  {}", verdicts.join("; ")));
        say(line.trim_end());
        say(&ratios(figure, width));
    }
}

/// Each engine's median as a multiple of Haven's.
fn ratios(figure: &Figure, width: usize) -> String {
    let mut line = format!("{:width$} {:>6}", "", "ratio");
    let own = figure.median(Engine::Haven);
    for engine in Engine::ALL {
        let ratio = own.zip(figure.median(engine)).map(|(own, other)| other / own);
        let cell = ratio.map_or_else(String::new, |ratio| format!("× {}", number(ratio)));
        line.push_str(&format!(" {cell:>10}"));
    }
    line.trim_end().to_owned()
}

/// What was to be reached, what was, and whether it is enough; says nothing when either side wasn't measured.
fn verdict(figure: &Figure, target: Target) -> String {
    let own = figure.median(Engine::Haven);
    let of = |engine: Engine| figure.median(engine);
    let (wanted, reached) = match target {
        Target::ShareOf(engine, share) => (
            format!("≤ 1/{} of {}", number(1.0 / share), engine.name()),
            own.zip(of(engine)).map(|(own, other)| own <= other * share),
        ),
        Target::MultipleOf(engine, multiple) => (
            format!("≥ {} × {}", number(multiple), engine.name()),
            own.zip(of(engine)).map(|(own, other)| own >= other * multiple),
        ),
        Target::AtMost(limit) => (format!("≤ {}", number(limit)), own.map(|own| own <= limit)),
        Target::AtLeast(limit) => (format!("≥ {}", number(limit)), own.map(|own| own >= limit)),
    };
    let word = match reached {
        Some(true) => " met",
        Some(false) => " MISSED",
        None => "",
    };
    format!("{wanted}{word}")
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Milliseconds => "ms",
        Unit::KibiBytes => "KiB",
        Unit::MebiBytes => "MiB",
        Unit::PerSecond => "1/s",
        Unit::MegabytesPerSecond => "MB/s",
    }
}

/// Three digits are all one should believe.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
