//! TCP headers: emitted headers parse back, invalid ones are rejected, options by tables.

use super::*;
use crate::wire::checksum::{PseudoHeader, Verdict};
use crate::wire::error::{Error, NoRoom};
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

const PSEUDO: PseudoHeader =
    PseudoHeader::v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));

/// A segment with exactly these option bytes and no data.
fn with_options(flags: u16, options: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4) && options.len() <= OPTIONS_LEN_MAX);
    let mut segment = vec![0; HEADER_LEN];
    segment[12] = (((HEADER_LEN + options.len()) / 4) << 4) as u8 | (flags >> 8) as u8;
    segment[13] = flags as u8;
    segment.extend(options);
    segment
}

fn timestamps() -> impl Strategy<Value = Timestamps> {
    any::<(u32, u32)>().prop_map(|(value, echo)| Timestamps { value, echo })
}

#[derive(Clone, Debug)]
struct Sent {
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    window: u16,
    urgent: u16,
    flags: u16,
    timestamps: Option<Timestamps>,
    mss: Option<u16>,
    window_shift: Option<u8>,
    sack_permitted: bool,
    sack: Vec<(u32, u32)>,
    fast_open: Option<(bool, Vec<u8>)>,
    accecn: Option<AccEcn>,
}

impl Sent {
    fn fast_open(&self) -> Option<FastOpen<'_>> {
        let (experimental, cookie) = self.fast_open.as_ref()?;
        let form = if *experimental { FastOpenForm::Experimental } else { FastOpenForm::Assigned };
        Some(FastOpen { form, cookie })
    }

    fn header(&self) -> HeaderOut<'_> {
        HeaderOut {
            src_port: self.ports.0,
            dst_port: self.ports.1,
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            urgent: self.urgent,
            flags: self.flags,
            options: OptionsOut {
                mss: self.mss,
                window_shift: self.window_shift,
                sack_permitted: self.sack_permitted,
                timestamps: self.timestamps,
                sack: &self.sack,
                user_timeout: None,
                accecn: self.accecn,
                fast_open: self.fast_open(),
            },
        }
    }

    fn assert_equals(&self, read: &Header<'_>) {
        assert_eq!((read.src_port, read.dst_port), self.ports);
        assert_eq!((read.seq, read.ack, read.window), (self.seq, self.ack, self.window));
        assert_eq!((read.urgent, read.flags), (self.urgent, self.flags));
        let options = read.options;
        assert!(!options.malformed);
        assert_eq!(options.timestamps, self.timestamps);
        assert_eq!(options.mss, self.mss);
        assert_eq!(options.window_shift, self.window_shift);
        assert_eq!(options.sack_permitted, self.sack_permitted);
        assert_eq!(options.sack().collect::<Vec<_>>(), self.sack);
        assert_eq!(options.has_sack(), !self.sack.is_empty());
        assert_eq!(options.fast_open(), self.fast_open());
        assert_eq!(options.accecn(), self.accecn);
    }
}

/// A segment with the options of a SYN.
fn syn() -> impl Strategy<Value = Sent> {
    let cookie = prop::sample::select(vec![0usize, 4, 8, 14])
        .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let options = (
        prop::option::of(1u16..),
        prop::option::of(any::<u8>()),
        any::<bool>(),
        prop::option::of(timestamps()),
        prop::option::of((any::<bool>(), cookie)),
    );
    (any::<((u16, u16), u32, u32, u16, u16, u8)>(), options).prop_map(|(fixed, options)| {
        let (ports, seq, ack, window, urgent, flags) = fixed;
        let (mss, window_shift, sack_permitted, timestamps, fast_open) = options;
        let (flags, sack) = (u16::from(flags) << 1 | u16::from(sack_permitted) | flag::SYN, vec![]);
        Sent {
            ports,
            seq,
            ack,
            window,
            urgent,
            flags,
            timestamps,
            mss,
            window_shift,
            sack_permitted,
            sack,
            fast_open,
            accecn: None,
        }
    })
}

/// A segment with the options of any other segment.
fn later() -> impl Strategy<Value = Sent> {
    let sack = prop::collection::vec(any::<(u32, u32)>(), 0..=3);
    (syn(), sack, prop::option::of(counters())).prop_map(|(sent, mut sack, accecn)| {
        // Keep the blocks that fit beside timestamps.
        sack.truncate(accecn.map_or(3, |counters| (24 - 4 * counters.words()) / 8));
        Sent {
            flags: sent.flags & !flag::SYN,
            sack,
            accecn,
            mss: None,
            window_shift: None,
            sack_permitted: false,
            fast_open: None,
            ..sent
        }
    })
}

/// The combinations of RFC 9768 table 5.
fn counters() -> impl Strategy<Value = AccEcn> {
    let number = || 0u32..1 << 24;
    (0..6, number(), number(), number()).prop_map(|(shape, e0b, ceb, e1b)| AccEcn {
        e0b: matches!(shape, 1..=3).then_some(e0b),
        ceb: matches!(shape, 2 | 3 | 5).then_some(ceb),
        e1b: matches!(shape, 3..=5).then_some(e1b),
    })
}

/// RFC 9768 table 5 and the sentence after it: whole fields count, the remainder is padding.
#[test]
fn accurate_ecn_counters_are_read_in_both_orders_and_from_any_length() {
    let body = [0, 0, 1, 0, 0, 2, 0, 0, 3, 9];
    let counters = |e0b, ceb, e1b| AccEcn { e0b, ceb, e1b };
    let (one, two, three) = (Some(1), Some(2), Some(3));
    let table = [
        (2, counters(None, None, None), counters(None, None, None)),
        (4, counters(None, None, None), counters(None, None, None)),
        (5, counters(one, None, None), counters(None, None, one)),
        (7, counters(one, None, None), counters(None, None, one)),
        (8, counters(one, two, None), counters(None, two, one)),
        (11, counters(one, two, three), counters(three, two, one)),
        (12, counters(one, two, three), counters(three, two, one)),
    ];
    for (len, order_0, order_1) in table {
        for (kind, expected) in [(172, order_0), (174, order_1)] {
            let mut area = [1; 12];
            area[..2].copy_from_slice(&[kind, len]);
            area[2..usize::from(len)].copy_from_slice(&body[..usize::from(len) - 2]);
            let segment = with_options(flag::ACK, &area);
            let (header, _) = parse(&segment).expect("well formed");
            assert_eq!(header.options.accecn(), Some(expected), "{kind} of {len}");
        }
    }
}

fn assigned(cookie: &[u8]) -> Option<FastOpen<'_>> {
    Some(FastOpen { form: FastOpenForm::Assigned, cookie })
}

fn fast_open_of(area: &[u8]) -> Option<FastOpen<'_>> {
    super::options::parse(area, true).fast_open()
}

/// RFC 7413 §4.1.1: the encoding sent before kind 34 was assigned.
#[test]
fn the_experimental_fast_open_option_is_equivalent() {
    let experimental = |cookie| Some(FastOpen { form: FastOpenForm::Experimental, cookie });
    assert_eq!(fast_open_of(&[254, 4, 0xf9, 0x89]), experimental(&[]));
    let cookie = [254, 8, 0xf9, 0x89, 1, 2, 3, 4];
    assert_eq!(fast_open_of(&cookie), experimental(&[1, 2, 3, 4]));
    assert_eq!(fast_open_of(&[254, 8, 0xf9, 0x88, 1, 2, 3, 4]), None);
}

/// RFC 7413 §4.1.1:
/// > Options with invalid Length values or without the SYN flag set MUST be ignored.
#[test]
fn cookies_of_a_wrong_length_are_ignored() {
    for cookie_len in 0..=20usize {
        let mut area = vec![34, 2 + cookie_len as u8];
        area.resize(2 + cookie_len, 7);
        let is_good =
            cookie_len == 0 || (4..=16).contains(&cookie_len) && cookie_len.is_multiple_of(2);
        assert_eq!(fast_open_of(&area), assigned(&area[2..]).filter(|_| is_good), "{cookie_len}");
        assert_eq!(super::options::parse(&area, false).fast_open(), None);
    }
}

/// RFC 9768 §3.2.3.3: counters that do not fit are omitted from the tail.
#[test]
fn accurate_ecn_makes_room_for_a_cookie() {
    let all = AccEcn { e0b: Some(1), ceb: Some(2), e1b: Some(3) };
    let some = AccEcn { e1b: None, ..all };
    let with = |cookie: &'static [u8]| OptionsOut {
        mss: Some(1460),
        window_shift: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        accecn: Some(all),
        fast_open: assigned(cookie),
        ..OptionsOut::default()
    };
    for (cookie, left, len) in
        [(&[7; 8][..], Some(some), 40), (&[7; 16], None, 40), (&[], Some(all), 36)]
    {
        let out = HeaderOut { flags: flag::SYN, options: with(cookie), ..HeaderOut::default() };
        assert_eq!(out.options.byte_len(), len);
        let pseudo = PseudoHeader::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut bytes = [0; 60];
        let written = out.emit(pseudo, (&[], &[]), &mut bytes).expect("room");
        let options = parse(&bytes[..written]).expect("well formed").0.options;
        assert_eq!((options.accecn(), options.fast_open()), (left, assigned(cookie)));
    }
}

fn payload() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let run = || prop::collection::vec(any::<u8>(), 0..150);
    (run(), run())
}

proptest! {
    #[test]
    fn the_fast_path_parses_exactly_the_stamped_headers(
        sent in prop_oneof![syn(), later()],
        (first, second) in payload(),
        changes in proptest::collection::vec((0usize..60, any::<u8>()), 0..2),
        cut in 0usize..80,
    ) {
        let mut bytes = [0; 20 + 40 + 300];
        let len = sent.header().emit(PSEUDO, (&first, &second), &mut bytes).expect("room for all");
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let segment = &bytes[..len.saturating_sub(cut.saturating_sub(70))];
        let long = parse(segment).ok();
        match parse_stamped(segment) {
            Some((read, data)) => {
                let (header, rest) = long.expect("the general path parses it too");
                prop_assert_eq!(data, rest);
                let ports = (header.src_port, header.dst_port);
                prop_assert_eq!((read.src_port(), read.dst_port()), ports);
                prop_assert_eq!((read.seq(), read.ack()), (header.seq, header.ack));
                let small = (header.flags, header.window, header.urgent);
                prop_assert_eq!((read.flags(), read.window(), read.urgent()), small);
                prop_assert_eq!(usize::from(header.header_len), STAMPED_LEN);
                prop_assert_eq!(header.options, Options::stamped(read.timestamps()));
            }
            None => {
                let stamped = |area: &[u8]| area.len() == 12 && area[..4] == [1, 1, 8, 10];
                let area = long.and_then(|(h, _)| segment.get(20..usize::from(h.header_len)));
                prop_assert!(!area.is_some_and(stamped));
            }
        }
    }

    #[test]
    fn emitted_bytes_parse_back(sent in prop_oneof![syn(), later()], (first, second) in payload()) {
        let header = sent.header();
        let mut bytes = [0xaa; 20 + 40 + 300];
        let len = header.emit(PSEUDO, (&first, &second), &mut bytes).expect("room for all");
        prop_assert_eq!(len, header.byte_len() + first.len() + second.len());
        let segment = &bytes[..len];
        prop_assert_eq!(verify(PSEUDO, segment), Verdict::Good);
        let (read, data) = parse(segment).expect("just written");
        sent.assert_equals(&read);
        prop_assert_eq!(usize::from(read.header_len), header.byte_len());
        prop_assert_eq!(data, [first, second].concat());
    }

    #[test]
    fn a_header_cut_anywhere_is_truncated_and_no_shorter_buffer_holds_a_segment(sent in prop_oneof![syn(), later()], (first, second) in payload()) {
        let mut bytes = [0; 20 + 40 + 300];
        let len = sent.header().emit(PSEUDO, (&first, &second), &mut bytes).expect("room for all");
        for cut in 0..sent.header().byte_len() {
            prop_assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated));
        }
        for room in 0..len {
            let written = sent.header().emit(PSEUDO, (&first, &second), &mut vec![0; room]);
            prop_assert_eq!(written, Err(NoRoom));
        }
    }

    // RFC 9293 §3.1: MUST-2, the checksum is generated; MUST-3, it is checked.
    #[test]
    fn a_flipped_bit_fails_the_checksum(sent in later(), (first, second) in payload(), at: prop::sample::Index) {
        let mut bytes = [0; 20 + 40 + 300];
        let len = sent.header().emit(PSEUDO, (&first, &second), &mut bytes).expect("room for all");
        let bit = at.index(len * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(verify(PSEUDO, &bytes[..len]), Verdict::Good);
    }

    // RFC 9293 §3.1: MUST-68, every option except EOL and NOP has a length; MUST-69, the bytes
    // behind an EOL are zero; and all options sent are implemented (MUST-4).
    #[test]
    fn emitted_options_have_lengths_and_padding(sent in prop_oneof![syn(), later()]) {
        let mut bytes = [0xff; 20 + 40 + 300];
        let len = sent.header().emit(PSEUDO, (&[], &[]), &mut bytes).expect("room for all");
        let mut area = &bytes[20..len];
        while let [kind, rest @ ..] = area {
            area = match kind {
                0 => {
                    prop_assert!(rest.iter().all(|byte| *byte == 0));
                    &[]
                }
                1 => rest,
                _ => {
                    prop_assert!([2, 3, 4, 5, 8, 28, 34, 172, 174, 254].contains(kind));
                    let length = usize::from(rest[0]);
                    prop_assert!(length >= 2);
                    &area[length..]
                }
            };
        }
    }

    #[test]
    fn any_bytes_are_a_segment_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok((header, data)) = parse(&bytes) {
            prop_assert_eq!(usize::from(header.header_len) + data.len(), bytes.len());
        }
        let _ = verify(PSEUDO, &bytes);
    }

    #[test]
    fn any_option_bytes_end_somewhere(
        syn: bool,
        options in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..12, Just(34)], 40),
    ) {
        let segment = with_options(if syn { flag::SYN } else { flag::ACK }, &options);
        let (header, _) = parse(&segment).expect("the lengths are right");
        let _ = format!("{:?}", header.options);
    }
}

#[test]
fn a_data_offset_below_five_words_is_malformed() {
    for words in 0..5u8 {
        let mut segment = with_options(flag::ACK, &[]);
        segment[12] = words << 4;
        assert_eq!(parse(&segment), Err(Error::Malformed));
    }
}

#[test]
fn the_usual_layouts_are_those_of_linux() {
    let timestamps = Some(Timestamps { value: 0x01020304, echo: 0x05060708 });
    let syn = OptionsOut {
        mss: Some(1460),
        window_shift: Some(7),
        sack_permitted: true,
        timestamps,
        ..OptionsOut::default()
    };
    let sack = OptionsOut { timestamps, sack: &[(1, 2)], ..OptionsOut::default() };
    let table: [(OptionsOut<'_>, &[u8]); 3] = [
        (syn, &[2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7]),
        (OptionsOut { sack: &[], ..sack }, &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        (sack, &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
    ];
    for (options, expected) in table {
        let header = HeaderOut { options, ..HeaderOut::default() };
        let mut bytes = [0; 60];
        let len = header.emit(PSEUDO, (&[], &[]), &mut bytes).expect("60 bytes hold any header");
        assert_eq!(&bytes[20..len], expected);
    }
}

#[test]
fn only_as_many_sack_blocks_are_sent_as_there_is_room_for() {
    let blocks = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)];
    for (timestamps, fit) in [(None, 4), (Some(Timestamps { value: 1, echo: 2 }), 3)] {
        let options = OptionsOut { timestamps, sack: &blocks, ..OptionsOut::default() };
        let header = HeaderOut { options, flags: flag::ACK, ..HeaderOut::default() };
        let mut bytes = [0; 60];
        let len = header.emit(PSEUDO, (&[], &[]), &mut bytes).expect("60 bytes hold any header");
        let (read, _) = parse(&bytes[..len]).expect("just written");
        assert_eq!(read.options.sack().collect::<Vec<_>>(), blocks[..fit]);
    }
}

#[test]
fn a_cookie_that_does_not_fit_is_omitted() {
    let options = OptionsOut {
        mss: Some(1460),
        window_shift: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        fast_open: assigned(&[7; 24]),
        ..OptionsOut::default()
    };
    assert_eq!(options.byte_len(), 20);
    assert_eq!(OptionsOut { fast_open: assigned(&[7; 16]), ..options }.byte_len(), 40);
}

// RFC 9293 §3.1, MUST-7
#[test]
fn an_illegal_option_length_ends_parsing_and_keeps_earlier_options() {
    for broken in [[8, 0, 0, 0], [8, 1, 0, 0], [8, 10, 0, 0], [1, 1, 1, 8], [99, 255, 0, 0]] {
        let options = [&[2, 4, 5, 0xb4][..], &broken].concat();
        let segment = with_options(flag::SYN, &options);
        let (header, _) = parse(&segment).expect("the lengths are right");
        assert_eq!(header.options.mss, Some(1460), "{broken:?}");
        assert!(header.options.malformed && header.options.timestamps.is_none(), "{broken:?}");
    }
}

// RFC 9293 §3.1, MUST-6
#[test]
fn options_of_a_wrong_length_and_unknown_options_are_skipped() {
    let table: [&[u8]; 8] = [
        &[2, 3, 0, 1],
        &[3, 4, 7, 7],
        &[8, 6, 0, 0, 0, 0, 1, 1],
        &[5, 6, 0, 0, 0, 0, 1, 1],
        &[5, 2, 1, 1],
        &[34, 5, 1, 2, 3, 1, 1, 1],
        &[30, 4, 1, 1],
        &[254, 4, 0xf9, 0x88],
    ];
    for passed in table {
        let segment = with_options(flag::SYN, &[passed, &[4, 2, 1, 1]].concat());
        let (header, _) = parse(&segment).expect("the lengths are right");
        let mut only_sack_permitted = Options::default();
        only_sack_permitted.sack_permitted = true;
        assert_eq!(header.options, only_sack_permitted, "{passed:?}");
    }
}

#[test]
fn nothing_behind_the_end_of_the_options_is_parsed() {
    let segment = with_options(flag::SYN, &[0, 2, 4, 9, 2, 4, 5, 0xb4]);
    assert_eq!(parse(&segment).expect("the lengths are right").0.options, Options::default());
}

// RFC 9293 §3.2, MUST-65; RFC 7323 §2.2; RFC 2018 §2
#[test]
fn options_of_a_syn_have_no_meaning_elsewhere() {
    let options = [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 34, 6, 1, 2, 3, 4];
    let later = with_options(flag::ACK, &options);
    assert_eq!(parse(&later).expect("the lengths are right").0.options, Options::default());
    let syn = with_options(flag::SYN, &options);
    let options = parse(&syn).expect("the lengths are right").0.options;
    assert_eq!((options.mss, options.window_shift), (Some(1460), Some(7)));
    assert_eq!(options.fast_open(), assigned(&[1, 2, 3, 4]));
}

#[test]
fn a_user_timeout_is_parsed_and_zero_is_ignored() {
    // RFC 5482 §3.3, §3.4
    for (raw, read) in [(300, Some(300)), (0x8001, Some(0x8001)), (0, None), (0x8000, None)] {
        let options = OptionsOut { user_timeout: Some(raw), ..OptionsOut::default() };
        let header = HeaderOut { flags: flag::ACK, options, ..HeaderOut::default() };
        let mut bytes = [0; 24];
        let len = header.emit(PSEUDO, (&[], &[]), &mut bytes).expect("20 bytes and 4 of options");
        assert_eq!((len, &bytes[20..22]), (24, &[28, 4][..]));
        let (header, _) = parse(&bytes).expect("just written");
        assert_eq!(header.options.user_timeout(), read);
    }
}

#[test]
fn an_mss_of_zero_is_ignored() {
    let segment = with_options(flag::SYN, &[2, 4, 0, 0]);
    assert_eq!(parse(&segment).expect("the lengths are right").0.options.mss, None);
}

#[test]
fn the_order_of_a_usual_syns_options_does_not_matter() {
    let usual = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
    let mut other = usual;
    other.rotate_left(4);
    let (usual, other) = (with_options(flag::SYN, &usual), with_options(flag::SYN, &other));
    let options = |segment| parse(segment).map(|(header, _)| header.options);
    assert_eq!(options(&usual), options(&other));
    assert!(options(&usual).is_ok_and(|options| options.sack_permitted));
}

// RFC 9293 §3.2, MUST-64: options begin at any byte. §3.1, MUST-4, MUST-5: EOL and NOP in any
// segment.
#[test]
fn timestamps_read_the_same_in_any_layout() {
    let usual = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let others = [
        [8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0],
        [1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0],
        [8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1],
    ];
    let fin = flag::FIN | flag::ACK;
    for flags in [flag::ACK, flag::SYN, fin, flag::RST, flag::ACK | flag::URG, 0] {
        for area in others.iter().chain([&usual]) {
            let segment = with_options(flags, area);
            let options = parse(&segment).map(|(header, _)| header.options.timestamps);
            assert_eq!(options, Ok(Some(Timestamps { value: 1, echo: 2 })), "{flags:#x} {area:?}");
        }
    }
}

#[test]
fn both_families_share_the_checksum_code() {
    let pseudo = PseudoHeader::v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let mut bytes = [0; 23];
    let len = HeaderOut::default().emit(pseudo, (b"a", b"bc"), &mut bytes).expect("23 bytes");
    assert_eq!(verify(pseudo, &bytes[..len]), Verdict::Good);
}
