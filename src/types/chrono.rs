//! Dates and times of the crate chrono 0.4.
//!
//! A date is its year, four bytes, month and day, a byte each; a time its seconds from midnight, three bytes, and
//! nanoseconds, four; an offset its seconds, four. What has two or three of them has them in this order. A time with an
//! offset is kept as it is in UTC.

use super::heads::HeadBuilder;
use super::lengths::{Reader, padded};
use super::{Key, KeyOrder, TypeName, Value};
use chrono_v0_4::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, Timelike, Utc};
use core::cmp::Ordering;

const DATE: usize = 6;
const TIME: usize = 7;
const DATE_TIME: usize = DATE + TIME;
const OFFSET: usize = 4;
const OFFSET_DATE_TIME: usize = DATE_TIME + OFFSET;

/// Bits of the numbers that a date and a time are made of: what is greater in damaged bytes counts as the greatest.
const YEAR_BITS: u32 = 19;
const MONTH_BITS: u32 = 4;
const DAY_BITS: u32 = 5;
const SECOND_BITS: u32 = 17;
const NANOSECOND_BITS: u32 = 31;
const DATE_BITS: u32 = YEAR_BITS + MONTH_BITS + DAY_BITS;
const TIME_BITS: u32 = SECOND_BITS + NANOSECOND_BITS;

/// Years that chrono has are from minus this to below this.
const YEARS: i32 = 1 << (YEAR_BITS - 1);

/// The number, or the greatest of so many bits.
fn limited(number: u32, bits: u32) -> u64 {
    u64::from(number.min((1 << bits) - 1))
}

fn year(data: &[u8]) -> i32 {
    i32::from_le_bytes(padded(data))
}

fn month_and_day(data: &[u8]) -> [u8; 2] {
    padded(data.get(4..).unwrap_or_default())
}

/// Where the date is among all dates.
fn date_rank(data: &[u8]) -> u64 {
    let year = year(data).clamp(-YEARS, YEARS - 1).wrapping_add(YEARS);
    let [month, day] = month_and_day(data);
    let (year, month) = (u64::from(year.unsigned_abs()), limited(month.into(), MONTH_BITS));
    ((year << MONTH_BITS | month) << DAY_BITS) | limited(day.into(), DAY_BITS)
}

fn date(data: &[u8]) -> Option<NaiveDate> {
    let [month, day] = month_and_day(data);
    NaiveDate::from_ymd_opt(year(data), month.into(), day.into())
}

fn date_bytes(date: NaiveDate) -> [u8; DATE] {
    let [a, b, c, d] = date.year().to_le_bytes();
    let [[month, ..], [day, ..]] = [date.month(), date.day()].map(u32::to_le_bytes);
    [a, b, c, d, month, day]
}

fn seconds(data: &[u8]) -> u32 {
    let [low, middle, high] = padded(data);
    u32::from_le_bytes([low, middle, high, 0])
}

fn nanoseconds(data: &[u8]) -> u32 {
    u32::from_le_bytes(padded(data.get(3..).unwrap_or_default()))
}

/// Where the time is in the day. The nanoseconds of a leap second are a thousand million and more.
fn time_rank(data: &[u8]) -> u64 {
    limited(seconds(data), SECOND_BITS) << NANOSECOND_BITS | limited(nanoseconds(data), NANOSECOND_BITS)
}

/// The time. An offset of some seconds moves a leap second to where there are none otherwise, and chrono has it there.
fn time(data: &[u8]) -> Option<NaiveTime> {
    NaiveTime::from_num_seconds_from_midnight_opt(seconds(data), 0)?.with_nanosecond(nanoseconds(data))
}

fn time_bytes(time: NaiveTime) -> [u8; TIME] {
    let [low, middle, high, _] = time.num_seconds_from_midnight().to_le_bytes();
    let [a, b, c, d] = time.nanosecond().to_le_bytes();
    [low, middle, high, a, b, c, d]
}

/// The date's, the time's and the offset's bytes in those of a time with an offset.
fn parts(data: &[u8]) -> [&[u8]; 3] {
    let mut reader = Reader::new(data);
    [DATE, TIME, usize::MAX].map(|width| reader.take_up_to(width))
}

/// The parts, one behind the other.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(parts.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
    out
}

fn date_time(data: &[u8]) -> Option<NaiveDateTime> {
    let [day, within, _] = parts(data);
    date(day).zip(time(within)).map(|(date, time)| date.and_time(time))
}

/// Order of dates with times: by the date, then by the time.
fn compare_date_times(data1: &[u8], data2: &[u8]) -> Ordering {
    let [rank1, rank2] = [data1, data2].map(|data| {
        let [date, time, _] = parts(data);
        (date_rank(date), time_rank(time))
    });
    rank1.cmp(&rank2)
}

fn date_time_head(data: &[u8]) -> u64 {
    let [date, time, _] = parts(data);
    let mut head = HeadBuilder::default();
    head.push::<NaiveDate>(date);
    head.push::<NaiveTime>(time);
    head.finish()
}

fn date_time_bytes(value: NaiveDateTime) -> [u8; DATE_TIME] {
    join(&[&date_bytes(value.date()), &time_bytes(value.time())])
}

fn offset(data: &[u8]) -> Option<FixedOffset> {
    FixedOffset::east_opt(i32::from_bytes(data))
}

fn offset_date_time(data: &[u8]) -> Option<DateTime<FixedOffset>> {
    let [_, _, zone] = parts(data);
    date_time(data).zip(offset(zone)).map(|(utc, offset)| DateTime::from_naive_utc_and_offset(utc, offset))
}

/// What the types have in common: `$read` gives the value if the bytes are right, or else there is `$other`.
macro_rules! chrono_value {
    ($type:ty, $name:literal, $width:expr, $read:expr, $other:expr, |$value:ident| $write:expr) => {
        impl Value for $type {
            type SelfType<'a> = $type;
            type AsBytes<'a> = [u8; $width];

            fn fixed_width() -> Option<usize> {
                Some($width)
            }

            fn from_bytes<'a>(data: &'a [u8]) -> $type
            where
                Self: 'a,
            {
                $read(data).unwrap_or($other)
            }

            fn as_bytes<'a, 'b: 'a>($value: &'a $type) -> [u8; $width]
            where
                Self: 'b,
            {
                $write
            }

            fn type_name() -> TypeName {
                TypeName::builtin($name)
            }

            fn validate(data: &[u8]) -> bool {
                data.len() == $width && $read(data).is_some()
            }
        }
    };
}

chrono_value!(NaiveDate, "chrono::NaiveDate", DATE, date, NaiveDate::MIN, |value| date_bytes(*value));
chrono_value!(NaiveTime, "chrono::NaiveTime", TIME, time, NaiveTime::MIN, |value| time_bytes(*value));
chrono_value!(NaiveDateTime, "chrono::NaiveDateTime", DATE_TIME, date_time, NaiveDateTime::MIN, |value| {
    date_time_bytes(*value)
});
chrono_value!(FixedOffset, "chrono::FixedOffset", OFFSET, offset, Utc.fix(), |value| {
    value.local_minus_utc().to_le_bytes()
});
chrono_value!(
    DateTime<FixedOffset>,
    "chrono::DateTime<chrono::FixedOffset>",
    OFFSET_DATE_TIME,
    offset_date_time,
    DateTime::<Utc>::MIN_UTC.fixed_offset(),
    |value| join(&[&date_time_bytes(value.naive_utc()), &value.offset().local_minus_utc().to_le_bytes()])
);

macro_rules! chrono_key {
    ($type:ty, $compare:expr, $exact_bits:expr, $head:expr) => {
        impl Key for $type {
            fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
                $compare(data1, data2)
            }

            const ORDER: KeyOrder = KeyOrder::Heads;

            const EXACT_HEAD_BITS: Option<u32> = $exact_bits;

            fn head(data: &[u8]) -> u64 {
                $head(data)
            }
        }
    };
}

/// Order by the ranks.
fn by(rank: fn(&[u8]) -> u64, data1: &[u8], data2: &[u8]) -> Ordering {
    rank(data1).cmp(&rank(data2))
}

chrono_key!(NaiveDate, |one, other| by(date_rank, one, other), Some(DATE_BITS), |data| {
    date_rank(data) << (u64::BITS - DATE_BITS)
});
chrono_key!(NaiveTime, |one, other| by(time_rank, one, other), Some(TIME_BITS), |data| {
    time_rank(data) << (u64::BITS - TIME_BITS)
});
chrono_key!(NaiveDateTime, compare_date_times, None, date_time_head);
chrono_key!(FixedOffset, i32::compare, i32::EXACT_HEAD_BITS, i32::head);
// The same time with another offset is the same key.
chrono_key!(DateTime<FixedOffset>, compare_date_times, None, date_time_head);
