//! Any TCP header that parses can be emitted, then parses the same and has a valid checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linerate::wire::checksum::{PseudoHeader, Verdict};
use linerate::wire::tcp::{self, HeaderOut, OptionsOut};

fuzz_target!(|segment: &[u8]| {
    let Ok((header, data)) = tcp::parse(segment) else { return };
    let options = header.options;
    let sack: Vec<(u32, u32)> = options.sack().collect();
    let out = HeaderOut {
        src_port: header.src_port,
        dst_port: header.dst_port,
        seq: header.seq,
        ack: header.ack,
        window: header.window,
        urgent: header.urgent,
        flags: header.flags,
        options: OptionsOut {
            mss: options.mss,
            window_shift: options.window_shift,
            sack_permitted: options.sack_permitted,
            timestamps: options.timestamps,
            sack: &sack,
            user_timeout: options.user_timeout(),
            accecn: options.accecn(),
            fast_open: options.fast_open(),
        },
    };
    let (first, second) = data.split_at(data.len() / 2);
    let pseudo = PseudoHeader::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let mut bytes = vec![0; 60 + data.len()];
    let len = out.emit(pseudo, (first, second), &mut bytes).expect("60 bytes hold any header");
    assert_eq!(tcp::verify(pseudo, &bytes[..len]), Verdict::Good);
    let (reparsed, reparsed_data) = tcp::parse(&bytes[..len]).expect("just written");
    assert_eq!(reparsed_data, data);
    assert_eq!(
        (reparsed.seq, reparsed.ack, reparsed.flags),
        (header.seq, header.ack, header.flags)
    );
    assert_eq!((reparsed.window, reparsed.urgent), (header.window, header.urgent));
    // Alignment costs bytes: options that were packed may not all fit, and then the last are
    // omitted.
    assert_eq!(reparsed.options.timestamps, options.timestamps);
    assert_eq!(reparsed.options.mss, options.mss);
    assert_eq!(reparsed.options.window_shift, options.window_shift);
    assert_eq!(reparsed.options.sack_permitted, options.sack_permitted);
    assert!(reparsed.options.sack().eq(options.sack().take(reparsed.options.sack().len())));
});
