"""Load on a ChatDeployment while its pods come and go, on a real node or simulated.

load, crowd       streams as a profile wants them; profiles of noise and bursts
endure, hurt      scale-downs, rollouts, evictions under open streams; `late` makes rules of Services change late
simulate          the real autoscaler in `compressed` time; `subject` is what it scales
series, view      samples; what is shown live. `plot` draws them
judge, page       what came of it against its aims; the section of the page
"""
