//! Days of the week, times of the day, dates and amounts as people write them.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Some days of the week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days([bool; 7]);

impl Days {
    /// Every day.
    pub const ALL: Self = Self([true; 7]);

    /// One flag for each day, Sunday first; more are ignored, missing ones are off.
    pub fn from_sunday(flags: impl IntoIterator<Item = bool>) -> Self {
        let mut days = Self::default();
        days.0.iter_mut().zip(flags).for_each(|(day, flag)| *day = flag);
        days
    }

    /// The flags, Sunday first.
    pub fn sunday_first(self) -> [bool; 7] {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl FromStr for Days {
    type Err = String;

    /// Reads `daily`, `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, `weekdays`, `weekend`; two letters are enough.
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let lower = match lower.as_str() {
            "daily" | "every day" | "always" | "all" => return Ok(Self::ALL),
            "weekdays" => "mon-fri",
            "weekend" => "sat,sun",
            other => other,
        };
        let mut days = Self::default();
        for part in lower.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let count = (last + 7 - first) % 7;
            for place in first..=first + count {
                if let Some(flag) = days.0.get_mut(place % 7) {
                    *flag = true;
                }
            }
        }
        if days.is_empty() {
            Err("no day is named; write Mon-Fri, Sat,Sun or daily".into())
        } else {
            Ok(days)
        }
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

fn day(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let full = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let found = full.iter().position(|name| text.len() >= 2 && name.starts_with(text));
    found.ok_or_else(|| format!("{text:?} is not a day; write Mon-Fri, Sat,Sun or daily"))
}

impl fmt::Display for Days {
    /// Monday first, with runs of three and more as `Mon-Fri`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let flag = |nth: usize| nth < 7 && self.0.get((nth + 1) % 7).copied().unwrap_or(false);
        let name = |nth: usize| NAMES.get((nth + 1) % 7).copied().unwrap_or_default();
        let (mut nth, mut comma) = (0, "");
        while nth < 7 {
            let run = (nth..7).take_while(|&nth| flag(nth)).count();
            match run {
                0 => {
                    nth += 1;
                    continue;
                }
                1 => write!(f, "{comma}{}", name(nth))?,
                2 => write!(f, "{comma}{},{}", name(nth), name(nth + 1))?,
                _ => write!(f, "{comma}{}-{}", name(nth), name(nth + run - 1))?,
            }
            comma = ",";
            nth += run;
        }
        Ok(())
    }
}

/// Reads `6:30` or `22:05` as minutes after midnight.
pub fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Writes minutes after midnight as `06:30`.
pub fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Reads a date as `2026-12-24` or `24.12.2026`. One with slashes is not guessed: which is the month?
///
/// # Errors
///
/// That it is none, with both forms.
pub fn date(text: &str) -> Result<Date, String> {
    let text = text.trim();
    let parts = |separator: char| -> Option<Vec<i16>> {
        let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split(separator)
            .map(|part| Some(part).filter(digits).and_then(|part| part.parse().ok()))
            .collect()
    };
    let read = match (parts('-').as_deref(), parts('.').as_deref()) {
        (Some(&[year, month, day]), _) | (_, Some(&[day, month, year])) if year >= 1970 => {
            let small = |number: i16| i8::try_from(number).ok();
            small(month).zip(small(day)).and_then(|(month, day)| Date::new(year, month, day).ok())
        }
        _ => None,
    };
    read.ok_or_else(|| format!("{text:?} is no date; write 2026-12-24 or 24.12.2026"))
}

/// Reads an amount of money, `0.31` or `0,31`, without signs between thousands.
///
/// # Errors
///
/// That it is none, with the right form.
pub fn amount(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let read = (digits(whole) && digits(part)).then(|| format!("{whole}.{part}").parse().ok()).flatten();
    read.ok_or_else(|| format!("{text:?} is no amount; write 0.31 or 0,31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_as_people_do() {
        for (text, shown) in [
            ("daily", "daily"),
            ("mon-sun", "daily"),
            ("Mon-Fri", "Mon-Fri"),
            ("weekdays", "Mon-Fri"),
            ("weekend", "Sat,Sun"),
            ("Fri-Mon", "Mon,Fri-Sun"),
            ("su", "Sun"),
            ("monday, WEDNESDAY sat", "Mon,Wed,Sat"),
        ] {
            assert_eq!(text.parse::<Days>().map(|days| days.to_string()).as_deref(), Ok(shown), "{text}");
        }
        for wrong in ["", "m", "noday", "mon-", "-"] {
            assert!(wrong.parse::<Days>().is_err(), "{wrong}");
        }
        assert_eq!(Days::default().to_string(), "");
        let days = Days::from_sunday([false, true, true]);
        assert_eq!(days.to_string(), "Mon,Tue");
        assert_eq!(Days::from_sunday(days.sunday_first()), days);
    }

    #[test]
    fn times_are_minutes_after_midnight() {
        for (text, want) in
            [("6:30", Some(390)), ("22:05", Some(1325)), ("24:00", None), ("7", None), ("7:60", None)]
        {
            assert_eq!(minute(text), want, "{text}");
        }
        assert_eq!(time(1325), "22:05");
    }

    #[test]
    fn dates_are_read_as_people_write_them_and_never_guessed() {
        let eve = Date::constant(2026, 12, 24);
        for text in ["2026-12-24", " 24.12.2026 "] {
            assert_eq!(date(text), Ok(eve), "{text}");
        }
        assert_eq!(date("4.1.2027"), Ok(Date::constant(2027, 1, 4)));
        for wrong in
            ["24/12/2026", "24.12.26", "24.12.", "31.11.2026", "2026-13-01", "tomorrow", "", "-1-2-3"]
        {
            let why = date(wrong).expect_err(wrong);
            assert!(why.contains("write 2026-12-24 or 24.12.2026"), "{why}");
        }
    }

    #[test]
    fn amounts_have_a_point_or_a_comma() {
        for (text, want) in [("0.31", 0.31), ("0,31", 0.31), (" 12 ", 12.0), ("5,0", 5.0)] {
            assert_eq!(amount(text), Ok(want), "{text}");
        }
        for wrong in ["1.234,56", "-1", "nan", "inf", "1e3", ",5", "0.31 CHF", ""] {
            assert!(amount(wrong).expect_err(wrong).contains("write 0.31 or 0,31"), "{wrong}");
        }
    }
}
