"""Degradations as text, with settings from which something is drawn."""

RANGES = (
    "agc:target_db=[-30,-10],ratio=[1,20],attack_seconds=[0.005,0.5],release_seconds=[0.1,4]",
    "azimuth:minutes=[-60,60],track_mm=[0.6,2.2],speed_cm_s=[4.76,38.1],spacing_mm=[2.5,6],"
    "summed=[true,false]",
    "band-limit:cutoff_hz=[300,4000]",
    "bit-depth:bits=[2,16],dither=[none,rectangular,triangular]",
    "clicks:per_second=[0,9],level_db=[-10,20],spread_db=[0,10],decay_seconds=[0.001,0.05],"
    "low_hz=[100,900],high_hz=[1000,9000],"
    "turns_per_minute=[null,33.3,45,78],jitter_percent=[0,2]",
    "clip:ratio=[0.06,0.9]",
    "codec:kind=[a-law,gsm,mp3,opus],bitrate_kbps=[8,64],passes=[1,2]",
    "crackle:per_second=[5,1000],level_db=[-40,0],spread_db=[2,12],"
    "resonance_hz=[2000,15000],decay_seconds=[0.0002,0.004]",
    "dc-offset:offset=[-0.1,0.1],drift=[0,0.1],drift_seconds=[0.1,1]",
    "dropout:per_second=[0,20],spacing_um=[0,10],speed_cm_s=[4.76,38.1]",
    "eq:spread_db=[0,20],octaves=[0.3,4],tilt_db_per_octave=[-3,3],zero_phase=[true,false]",
    "filter:high_hz=[850,11025],order=[2,9],zero_phase=[true,false],ripple_db=[0.1,3],"
    "stop_db=[30,80],"
    "kind=[butterworth,chebyshev1,chebyshev2,bessel,elliptic]",
    "filter:low_hz=[50,400],high_hz=[2000,12000],order=[1,12]",
    "gain:gain_db=[-20,20]",
    "hiss:level_db=[-60,-10],corner_hz=[300,5000],slope_db=[0,9],top_hz=[4000,30000]",
    "horn:low_hz=[80,400],high_hz=[1500,5000],length_m=[0.3,1.5],resonances=[0,12],"
    "resonance_db=[0,18],q=[2,20]",
    "hum:mains_hz=[50,60],level_db=[-50,-10],harmonics=[1,60],rolloff_db=[0,18],"
    "even_db=[-20,20],spread_db=[0,9],drift_percent=[0,2]",
    "noise:snr_db=[-5,40],kind=[white,pink,brown]",
    "overdrive:gain=[0,60],colour=[0,100]",
    "packet-loss:loss_percent=[1,60],burst_packets=[1,5],packet_ms=[10,20,60],"
    "concealment=[silence,repeat]",
    "print-through:seconds=[0.05,3],level_db=[-60,-30],post_db=[-6,6],strongest_hz=[200,2000]",
    "quantize-resample:levels=[64,1024],rate_hz=[8000,11025,16000]",
    "resample:rate_hz=[4000,8000,16000],aliasing=[false,true],rebuilt=[filtered,linear,held]",
    "reverb:rt60_seconds=[0.05,3],drr_db=[-10,30]",
    "reverb:kind=[decay,room],rt60_seconds=[0.1,2],volume_m3=[20,5000],distance_m=[0.1,3]",
    "speed:percent=[-60,140]",
    "stereo-imbalance:balance_db=[-10,10]",
    "wow-flutter:wow_percent=[0,3],wow_hz=[0.5,6],flutter_percent=[0,1],flutter_hz=[6,100],"
    "irregular=[0,1]",
)
"""Degradations whose defaults draw nothing, with settings from which something is drawn."""
