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
    let (again, data_again) = tcp::parse(&bytes[..len]).expect("just written");
    assert_eq!(data_again, data);
    assert_eq!((again.seq, again.ack, again.flags), (header.seq, header.ack, header.flags));
    assert_eq!((again.window, again.urgent), (header.window, header.urgent));
    // Alignment costs bytes: packed options may not all fit, and the last ones are left out then.
    assert_eq!(again.options.timestamps, options.timestamps);
    assert_eq!(again.options.mss, options.mss);
    assert_eq!(again.options.window_shift, options.window_shift);
    assert_eq!(again.options.sack_permitted, options.sack_permitted);
    assert!(again.options.sack().eq(options.sack().take(again.options.sack().len())));
});
