//! [`Spark`]: how a team came to where it stands, as a line small enough for a row of the board. It is
//! geometry alone; the values come from the airlock, which gives what stood on the board and no more.

use serde::Serialize;

/// Width of the drawing, in its own units.
const WIDTH: usize = 80;
/// Height of the drawing, with a unit free above and below.
const HEIGHT: f64 = 20.0;
/// Points that are drawn: more are thinned out.
const POINTS: usize = 20;

/// A line ready to be drawn in a box of 80 by 20 units: better is higher up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spark {
    /// The line, as `x,y x,y` in whole units.
    pub points: String,
    /// Values in all, of which 20 at most are points.
    pub count: usize,
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
}

impl Spark {
    /// Draws values in their order; nothing before there are two.
    pub(super) fn of(values: &[f64], ascending: bool) -> Option<Self> {
        let (&[first, ..], &[.., last], count) = (values, values, values.len()) else { return None };
        if count < 2 {
            return None;
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let y = |value: f64| {
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            let share = if ascending { 1.0 - share } else { share };
            (1.0 + (HEIGHT - 2.0) * (1.0 - share)).round()
        };
        let drawn = count.min(POINTS);
        let mut points = String::new();
        for point in 0..drawn {
            // evenly thinned out, the first and the last always among them
            let value = values[point * (count - 1) / (drawn - 1)];
            let x = point * WIDTH / (drawn - 1);
            let gap = if point > 0 { " " } else { "" };
            points.push_str(&format!("{gap}{x},{}", y(value)));
        }
        Some(Self { points, count, first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_higher_up_whichever_way_the_column_runs() {
        assert_eq!(Spark::of(&[1.0, 3.0, 2.0], false).unwrap().points, "0,19 40,1 80,10");
        assert_eq!(Spark::of(&[1.0, 3.0, 2.0], true).unwrap().points, "0,1 40,19 80,10");
        assert_eq!(Spark::of(&[2.0, 2.0], true).unwrap().points, "0,10 80,10");
    }

    #[test]
    fn one_value_is_no_line_and_many_are_thinned_out() {
        assert_eq!(Spark::of(&[], true), None);
        assert_eq!(Spark::of(&[1.0], true), None);
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let spark = Spark::of(&many, false).unwrap();
        assert_eq!(spark.points.split(' ').count(), POINTS);
        assert!(spark.points.starts_with("0,19 ") && spark.points.ends_with(" 80,1"), "{}", spark.points);
        assert_eq!((spark.count, spark.first, spark.last), (1000, 0.0, 999.0));
    }
}
