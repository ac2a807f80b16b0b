//! Dates and times.

use super::*;
use chrono_v0_4::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

fn date() -> impl Strategy<Value = NaiveDate> {
    let year = prop_oneof![3 => 1999..2001, 1 => Just(-1), 1 => -262_143..=262_142];
    let days = (year, 1_u32..=365).prop_map(|(year, day)| NaiveDate::from_yo_opt(year, day).unwrap());
    prop_oneof![8 => days, 1 => Just(NaiveDate::MIN), 1 => Just(NaiveDate::MAX)]
}

/// Nanoseconds of a second, or of a leap second.
fn nanoseconds(second: u32) -> impl Strategy<Value = u32> {
    let end = if second % 60 == 59 { 2_000_000_000 } else { 1_000_000_000 };
    prop_oneof![0_u32..3, 0_u32..end]
}

fn time() -> impl Strategy<Value = NaiveTime> {
    let seconds = prop_oneof![0_u32..86_400, 86_395_u32..86_400, 0_u32..2];
    let parts = seconds.prop_flat_map(|second| (Just(second), nanoseconds(second)));
    parts.prop_map(|(second, nano)| NaiveTime::from_num_seconds_from_midnight_opt(second, nano).unwrap())
}

fn offset() -> impl Strategy<Value = FixedOffset> {
    prop_oneof![-86_399..86_400, -2..3].prop_map(|seconds| FixedOffset::east_opt(seconds).unwrap())
}

fn date_time() -> impl Strategy<Value = NaiveDateTime> {
    (date(), time()).prop_map(|(date, time)| date.and_time(time))
}

types! { keys:
    dates NaiveDate: date(), |value| value;
    times NaiveTime: time(), |value| value;
    date_times NaiveDateTime: date_time(), |value| value;
    offsets FixedOffset: offset(), |value| value;
    offset_date_times DateTime<FixedOffset>: (date_time(), offset()), |(utc, offset)|
        DateTime::from_naive_utc_and_offset(utc, offset);
    dated (NaiveDate, Option<NaiveTime>, &str): (date(), prop::option::of(time()), text()), |(date, time, ref text)|
        (date, time, text.as_str());
}

#[test]
fn golden_bytes_and_heads() {
    let date = NaiveDate::from_ymd_opt(2023, 10, 5).unwrap();
    let time = NaiveTime::from_hms_nano_opt(12, 30, 45, 9).unwrap();
    assert_eq!(NaiveDate::as_bytes(&date), [0xe7, 7, 0, 0, 10, 5]);
    assert_eq!(NaiveTime::as_bytes(&time), [0xf5, 0xaf, 0, 9, 0, 0, 0]);
    assert_eq!(NaiveDate::head(&NaiveDate::as_bytes(&date)), ((262_144 + 2023) << 9 | 10 << 5 | 5) << 36);
    assert_eq!(NaiveTime::head(&NaiveTime::as_bytes(&time)), (45_045 << 31 | 9) << 16);
    assert_eq!((NaiveDate::EXACT_HEAD_BITS, NaiveTime::EXACT_HEAD_BITS), (Some(28), Some(48)));
}

#[test]
fn bad_dates_and_times_are_refused() {
    fn check<V: Value>(data: &[u8]) {
        assert!(!V::validate(data), "{data:?}");
    }
    check::<NaiveDate>(&[0xe7, 7, 0, 0, 2, 30]);
    check::<NaiveDate>(&[0xe7, 7, 0, 0, 0, 1]);
    check::<NaiveDate>(&[0, 0, 0, 0x70, 1, 1]);
    check::<NaiveDate>(&[0xe7, 7, 0, 0, 10, 5, 0]);
    check::<NaiveTime>(&[0x80, 0x51, 1, 0, 0, 0, 0]);
    check::<NaiveTime>(&[0, 0, 0, 0, 0, 0, 0xff]);
    check::<NaiveDateTime>(&[0; 13]);
    check::<FixedOffset>(&86_400_i32.to_le_bytes());
    check::<DateTime<FixedOffset>>(&[0; 17]);
}

/// With an offset of half a minute, a leap second is in the middle of a minute.
#[test]
fn a_leap_second_out_of_its_place_is_read() {
    let time = NaiveTime::from_hms_opt(1, 2, 3).unwrap().with_nanosecond(1_500_000_000).unwrap();
    let bytes = NaiveTime::as_bytes(&time);
    assert!(NaiveTime::validate(&bytes));
    assert_eq!(NaiveTime::from_bytes(&bytes), time);
}

#[test]
fn one_time_with_two_offsets_is_one_key() {
    let utc = DateTime::<Utc>::UNIX_EPOCH;
    let [here, there] = [-3600, 7200].map(|seconds| utc.with_timezone(&FixedOffset::east_opt(seconds).unwrap()));
    let [here, there] = [here, there].map(|time| <DateTime<FixedOffset>>::as_bytes(&time));
    assert_ne!(here, there);
    assert!(<DateTime<FixedOffset>>::compare(&here, &there).is_eq());
}
