"""Load on a ChatDeployment while its pods come and go, on a real node or simulated.

crowd             clients that keep streams open, simulated; profiles of noise and bursts
endure            `disruptions` (scale-downs, rollouts, evictions) under open streams, with `delayed_rules` of Services
simulate          the real autoscaler in `compressed` time; `subject` is what it scales
series, view      samples; what is shown live. `plot` draws them
evaluate, page    results against their aims; the section of the page
"""
