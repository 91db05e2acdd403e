"""Energy that can be billed: a session's energy over time, what it costs, when charging will be done.

Values in, values out: nothing here does I/O, reads a clock or knows a protocol. Energy is counted in whole
milliwatt-hours (mWh), so that parts sum exactly to their total.
"""
