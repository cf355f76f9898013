# MaskDet for others to visit: docker build -t maskdet . && docker run --rm -p 127.0.0.1:8501:8501 -v maskdet:/workspace maskdet
# See docs/deployment.md before it is reached from elsewhere.
FROM python:3.12-slim

# Without an address Streamlit asks a server elsewhere for it on each start.
# Open to strangers unless you say otherwise (-e MASKDET_PUBLIC=0): then visitors may scan, train and decide.
ENV MASKDET_PUBLIC=1 \
    MASKDET_HOME=/workspace \
    PYTHONUNBUFFERED=1 \
    STREAMLIT_BROWSER_SERVER_ADDRESS=localhost

# The number is that of the volume's owner.
RUN useradd --create-home --uid 1000 maskdet && install --directory --owner maskdet /workspace

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt
COPY LICENSE app.py ./
COPY .streamlit/ .streamlit/
COPY data/ data/
COPY maskdet/ maskdet/
COPY pages/ pages/
COPY ui/ ui/
# The user who runs it cannot write here.
RUN python -m compileall -q maskdet pages ui

USER maskdet
VOLUME /workspace
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
