"""What gunicorn needs to start the monitor in each worker, and to close it in one that ends.

gunicorn --config gunicorn_conf.py flask_service:app
"""

from mlwatch.integrations.gunicorn import hooks

bind = "127.0.0.1:8000"
workers = 2
worker_class = "gthread"
threads = 4

post_worker_init, worker_exit = hooks("flask_service:monitor")
